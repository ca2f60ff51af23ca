use std::fs;

use super::*;
use crate::cli::replay::trace::{Kind, Size, load};

const STEADY: &str = "0,2.0,0.5,Gamma,4.0,0.125\n600,2.0,0.5,Gamma,4.0,0.125\n";
const BURSTY: &str = "0,1.0,2.2,Weibull,0.5,9.0\n600,0,0,,0,0\n";
const SIZES: &str = r#"{"0": {"text_tokens": "{100: 0.5, 300: 0.5}", "image_tokens": "{7: 1.0}", "image_count": "{2: 1.0}",
    "output_tokens": "{20: 1.0}"}}"#;

fn options() -> Options {
    Options { seed: 5, duration: Some(Duration::from_secs(1200)), ..Options::default() }
}

fn clients(files: &[(&str, &str)], options: &Options) -> Result<Clients, TraceError> {
    let mut clients = Clients::new();
    for (name, content) in files {
        add(&mut clients, name, name, content.as_bytes(), options)?;
    }
    Ok(clients)
}

fn draw(files: &[(&str, &str)], options: &Options) -> Result<(Vec<Arrival>, String), TraceError> {
    arrivals(&clients(files, options)?, "s.tar.xz", options)
}

fn two() -> [(&'static str, &'static str); 3] {
    [("chunk-0-trace.csv", STEADY), ("chunk-12-trace.csv", BURSTY), ("chunk-0-dataset.json", SIZES)]
}

#[test]
fn clients_send_at_their_measured_rate_and_are_silent_when_they_were() {
    let (arrivals, note) = draw(&two(), &options()).unwrap();
    assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
    let of = |name: &str| arrivals.iter().filter(|a| a.tenant == name).map(|a| a.at.as_secs_f64()).collect::<Vec<_>>();
    let (steady, bursty) = (of("client-0"), of("client-12"));
    assert!((steady.len() as f64 - 2400.0).abs() < 100.0, "{}", steady.len());
    // 600 are expected; gaps of variance 5 scatter that by about √(600·5) = 55.
    assert!((bursty.len() as f64 - 600.0).abs() < 165.0, "{}", bursty.len());
    assert!(bursty.last().unwrap() < &601.0);
    assert!(note.contains("seed 5") && note.contains("data sets"), "{note}");
}

#[test]
fn the_seed_decides_and_a_limit_or_another_client_changes_no_arrival() {
    let (all, _) = draw(&two(), &options()).unwrap();
    assert_eq!(all, draw(&two(), &options()).unwrap().0);
    assert_ne!(all, draw(&two(), &Options { seed: 6, ..options() }).unwrap().0);
    let (some, _) = draw(&two(), &Options { limit: Some(50), ..options() }).unwrap();
    assert_eq!(some, all[..50]);
    let (alone, _) = draw(&two()[1..2], &options()).unwrap();
    let gaps = |arrivals: &[Arrival]| arrivals.windows(2).map(|pair| pair[1].at - pair[0].at).collect::<Vec<_>>();
    let beside: Vec<Arrival> = all.into_iter().filter(|arrival| arrival.tenant == "client-12").collect();
    assert_eq!(gaps(&alone), gaps(&beside));
}

#[test]
fn sizes_come_from_the_data_set_or_from_the_default_rule() {
    let (arrivals, _) = draw(&two(), &options()).unwrap();
    let mut inputs = std::collections::BTreeSet::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.tenant == "client-0") {
        let Size::Text { input_tokens, output_tokens } = arrival.size else { panic!("{arrival:?}") };
        assert_eq!(output_tokens, 20);
        inputs.insert(input_tokens);
    }
    assert_eq!(inputs.into_iter().collect::<Vec<_>>(), [114, 314]);
    let (_, note) = draw(&two()[..1], &options()).unwrap();
    assert!(note.contains("log-normal"), "{note}");
}

#[test]
fn without_a_duration_the_first_hour_is_drawn_and_the_note_says_so() {
    let day: String = (0..144).map(|window| format!("{},0.1,1,Gamma,1,10\n", window * 600)).collect();
    let files = [("chunk-0-trace.csv", day.as_str())];
    let (arrivals, note) = draw(&files, &Options::default()).unwrap();
    assert!(arrivals.last().unwrap().at < DEFAULT_DURATION);
    assert!((arrivals.len() as f64 - 360.0).abs() < 80.0, "{}", arrivals.len());
    assert!(note.contains("first hour"), "{note}");
    let late = Options { start: Duration::from_secs(80_000), duration: Some(Duration::from_secs(9_000)), ..options() };
    let (arrivals, _) = draw(&files, &late).unwrap();
    assert!(arrivals.last().unwrap().at <= Duration::from_secs(6_400));
    let after = Options { start: Duration::from_secs(90_000), ..options() };
    assert!(draw(&files, &after).unwrap_err().to_string().contains("window is empty"));
}

#[test]
fn more_than_memory_holds_is_refused_unless_a_limit_is_set() {
    let flood = [("chunk-0-trace.csv", "0,1e6,1,Gamma,1,1e-6\n")];
    let message = draw(&flood, &options()).unwrap_err().to_string();
    assert!(message.contains("600000000") && message.contains("set a limit"), "{message}");
    assert_eq!(draw(&flood, &Options { limit: Some(10), ..options() }).unwrap().0.len(), 10);
}

#[test]
fn bad_values_are_named_with_line_field_value_and_remedy() {
    for (row, wanted) in [
        ("600,-1,0.5,Gamma,4,1", "rate is `-1`, write requests per second"),
        ("600,NaN,0.5,Gamma,4,1", "rate is `NaN`, write"),
        ("600,1,0.5,Pareto,4,1", "distribution is `Pareto`, write Gamma or Weibull"),
        ("600,1,0.5,,4,1", "distribution is ``, write"),
        ("600,1,0.5,Gamma,0,1", "first parameter is `0`, write a number above 0"),
        ("600,1,0.5,Weibull,0.0001,1", "first parameter is `0.0001`, write a shape"),
        ("0,1,0.5,Gamma,4,1", "window start is `0`, sort the windows"),
        ("600,1,0.5,Gamma,4", "it has 5 fields instead of 6"),
    ] {
        let content = format!("0,2.0,0.5,Gamma,4.0,0.125\n{row}\n");
        let message = clients(&[("chunk-3-trace.csv", &content)], &options()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("chunk-3-trace.csv, line 2: {wanted}")), "{message}");
    }
    for (json, wanted) in [
        (r#"{"x": {}}"#, "window start is `x`"),
        (r#"{"0": {"text_tokens": "{1: NaN}"}}"#, "text_tokens is `{1: NaN}`, write a histogram"),
        (r#"{"0": {"text_tokens": "{}"}}"#, "text_tokens is `{}`, write a histogram"),
        (r#"{"0": {"text_tokens": "{1: -1}"}}"#, "text_tokens is `{1: -1}`"),
        ("[1]", "line 1"),
    ] {
        let message = clients(&[("chunk-3-dataset.json", json)], &options()).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    }
    assert!(draw(&[], &options()).unwrap_err().to_string().contains("no chunk-N-trace.csv"));
}

#[test]
fn a_directory_of_chunks_is_read_like_an_archive() {
    let directory = std::env::temp_dir().join(format!("fairflow-servegen-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    for (name, content) in two() {
        fs::write(directory.join(name), content).unwrap();
    }
    fs::write(directory.join("README.md"), "not a chunk").unwrap();
    let trace = load(&directory, &options());
    fs::remove_dir_all(&directory).unwrap();
    let trace = trace.unwrap();
    assert_eq!(trace.kind, Kind::ServeGen);
    assert_eq!(trace.arrivals, draw(&two(), &options()).unwrap().0);
}

#[test]
fn what_is_not_drawn_from_refuses_no_trace() {
    let other = r#"{"0": {"output_tokens": "{20: 1.0}", "reason_ratio": "[0.1, 0.2]", "text_tokens": "{100: 1}", "note": 7,
        "reason_ratio_by_length": {"0": [1, null]}}}"#;
    let odd = "0,2.0,nan,Gamma,4.0,\n600,2.0,,Gamma,4.0,-1\n";
    let (arrivals, _) = draw(&[("chunk-0-trace.csv", odd), ("chunk-0-dataset.json", other)], &options()).unwrap();
    assert!((arrivals.len() as f64 - 2400.0).abs() < 100.0, "{}", arrivals.len());
    assert_eq!(arrivals[0].size, Size::Text { input_tokens: 100, output_tokens: 20 });
}

#[test]
fn an_archive_is_read_without_unpacking_it() {
    /// `language/x/chunk-0-trace.csv` with the content of [`STEADY`], as `tar` and `xz` pack it.
    const PACKED: &str = "fd377a585a0000016922de36020021011c00000010cf58cce007ff00775d0036184a21390b28e14cd343b5b68e7a657f54b4eaec\
        d3978392805148d5eb6c574c8beabb660b4dbcd5c881c11c6a390f9a043018dc84182c41887f81a4c8bbf0b4f53af66c8f2dec98\
        8452bcbec4ffe406707500a756ace94db3b5ff5a0832a2b25636173e703930f22d31e89a617ff45cc18104d80a000000001003cf\
        00018f01801000002b4eace03e300d8b020000000001595a";
    let packed: Vec<u8> =
        (0..PACKED.len()).step_by(2).map(|i| u8::from_str_radix(&PACKED[i..i + 2], 16).unwrap()).collect();
    let file = std::env::temp_dir().join(format!("fairflow-packed-{}", std::process::id()));
    let read = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        load(&file, &options())
    };
    let trace = read(&packed).unwrap();
    assert_eq!((trace.kind, trace.arrivals), (Kind::ServeGen, draw(&two()[..1], &options()).unwrap().0));
    let mut broken = packed.clone();
    broken[100] ^= 0xff;
    for bytes in [&broken[..], &packed[..120], &packed[..7]] {
        let message = read(bytes).unwrap_err().to_string();
        assert!(message.contains("its xz stream is cut off or damaged") && message.contains("again"), "{message}");
    }
    fs::remove_file(&file).unwrap();
}
