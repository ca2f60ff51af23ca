use std::{fs, path::PathBuf, time::Duration};

use super::*;

const GENTD26: &str = "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,\
    negative_prompt_length,num_images_per_prompt,num_inference_steps,checkpoint_model_version_id,num_lora\n";
const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

/// A file of its own for one test, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("fairflow-trace-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn gentd26(rows: &str, options: &Options) -> Result<(Vec<Arrival>, String), TraceError> {
    super::gentd26::read(format!("{GENTD26}{rows}").as_bytes(), "t.csv", options)
}

fn azure(rows: &str, options: &Options) -> Result<(Vec<Arrival>, String), TraceError> {
    super::azure::read(format!("{AZURE}{rows}").as_bytes(), "a.csv", options)
}

fn said<T: std::fmt::Debug>(result: Result<T, TraceError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn gentd26_is_sorted_and_filled_in() {
    let rows = "2024-11-15 10:00:05,TXT_2_IMG,SUCCEED,32.0,G1,63.0,26.0,8.0,40.0,M1,0\n\
                2024-11-15 10:00:00,IMG_2_IMG,PENDING,0.0,G2,,,,,,0\n\
                2024-11-15 10:00:07,TXT_2_IMG,FAILED,3.0,G1,5,,1.0,30.0,M2,1\n";
    let (arrivals, note) = gentd26(rows, &Options::default()).unwrap();
    let seconds: Vec<u64> = arrivals.iter().map(|arrival| arrival.at.as_secs()).collect();
    assert_eq!(seconds, [0, 5, 7]);
    assert_eq!(arrivals[0].tenant, "G2");
    assert_eq!(arrivals[0].model, "");
    assert_eq!(arrivals[0].size, Size::Image { images: 1, steps: 30, prompt_chars: 56, seconds: 0.0 });
    assert_eq!(arrivals[1].size, Size::Image { images: 8, steps: 40, prompt_chars: 89, seconds: 32.0 });
    assert!(note.contains("All 2 tenants") && note.contains("1 rows"), "{note}");
}

#[test]
fn a_window_is_cut_and_counted_from_its_first_arrival() {
    let rows: String = (0..10).map(|s| format!("2023-11-16 18:15:{s:02}.5,10,5\n")).collect();
    let options = Options {
        start: Duration::from_secs(3),
        duration: Some(Duration::from_secs(4)),
        limit: Some(3),
        ..Options::default()
    };
    let (arrivals, _) = azure(&rows, &options).unwrap();
    let seconds: Vec<u64> = arrivals.iter().map(|arrival| arrival.at.as_secs()).collect();
    assert_eq!(seconds, [0, 1, 2]);
    let (arrivals, _) = azure(&rows, &Options { limit: None, ..options }).unwrap();
    assert_eq!(arrivals.len(), 4);
    let late = Options { start: Duration::from_secs(99), ..Options::default() };
    assert!(said(azure(&rows, &late)).contains("the window is empty"));
}

#[test]
fn the_same_seed_gives_the_same_tenants_and_large_ones_are_larger() {
    let rows = "2023-11-16 18:15:00,10,5\n".repeat(4000);
    let options = |seed| Options { seed, tenants: Some(4), ..Options::default() };
    let (first, note) = azure(&rows, &options(7)).unwrap();
    assert_eq!(first, azure(&rows, &options(7)).unwrap().0);
    assert_ne!(first, azure(&rows, &options(8)).unwrap().0);
    assert!(note.contains("1/k") && note.contains("seed 7"), "{note}");
    let count = |name: &str| first.iter().filter(|arrival| arrival.tenant == name).count() as f64;
    // Weights 1, 1/2, 1/3, 1/4 sum to 25/12.
    for (name, share) in [("tenant-1", 0.48), ("tenant-2", 0.24), ("tenant-3", 0.16), ("tenant-4", 0.12)] {
        assert!((count(name) / 4000.0 - share).abs() < 0.03, "{name}");
    }
}

#[test]
fn tenants_beyond_the_busiest_are_folded_by_rank() {
    let rows: String = ["G1", "G1", "G1", "G2", "G2", "G3", "G4"]
        .iter()
        .map(|group| format!("2024-11-15 10:00:05,TXT_2_IMG,SUCCEED,32.0,{group},63.0,26.0,8.0,40.0,M1,0\n"))
        .collect();
    let (arrivals, note) = gentd26(&rows, &Options { tenants: Some(2), ..Options::default() }).unwrap();
    let tenants: Vec<&str> = arrivals.iter().map(|arrival| arrival.tenant.as_str()).collect();
    assert_eq!(tenants, ["G1", "G1", "G1", "G2", "G2", "G1", "G2"]);
    assert!(note.contains("Of 4 tenants the 2 busiest"), "{note}");
}

#[test]
fn bad_values_are_named_with_line_field_value_and_remedy() {
    let good = "2024-11-15 10:00:05,TXT_2_IMG,SUCCEED,32.0,G1,63.0,26.0,8.0,40.0,M1,0\n";
    for (row, wanted) in [
        ("soon,T,S,32.0,G1,63,26,8,40,M1,0", "gmt_create is `soon`, write a time"),
        ("2024-11-15 10:00:05,T,S,32.0,,63,26,8,40,M1,0", "groupId is ``, name the tenant"),
        ("2024-11-15 10:00:05,T,S,NaN,G1,63,26,8,40,M1,0", "exec_time_seconds is `NaN`, write"),
        ("2024-11-15 10:00:05,T,S,-1,G1,63,26,8,40,M1,0", "exec_time_seconds is `-1`, write"),
        ("2024-11-15 10:00:05,T,S,,G1,63,26,8,40,M1,0", "exec_time_seconds is ``, write"),
        ("2024-11-15 10:00:05,T,S,1,G1,63,26,0,40,M1,0", "num_images_per_prompt is `0`, write 1 or more"),
        ("2024-11-15 10:00:05,T,S,1,G1,63,26,1.5,40,M1,0", "num_images_per_prompt is `1.5`, write"),
        ("2024-11-15 10:00:05,T,S,1,G1,63,26,1,inf,M1,0", "num_inference_steps is `inf`, write"),
        ("2024-11-15 10:00:05,T,S,1,G1,-2,26,1,40,M1,0", "prompt_length is `-2`, write"),
        ("2024-11-15 10:00:05,T,S,1,G1,2,x,1,40,M1,0", "negative_prompt_length is `x`, write"),
    ] {
        let message = said(gentd26(&format!("{good}{row}\n"), &Options::default()));
        assert!(message.starts_with(&format!("t.csv, line 3: {wanted}")), "{message}");
    }
    for (row, wanted) in [
        ("2023-11-16,1,0", "GeneratedTokens is `0`, write a whole number"),
        ("2023-11-16 18:15:46,-4,1", "ContextTokens is `-4`, write"),
        ("2023-11-16 18:15:46,4e12,1", "ContextTokens is `4e12`, write"),
        ("2023-13-16 18:15:46,4,1", "TIMESTAMP is `2023-13-16 18:15:46`, write a time"),
        ("2023-11-16 18:15:46,4", "it has 2 fields instead of 3; repair"),
    ] {
        let message = said(azure(&format!("2023-11-16 18:15:46.6805900,374,44\n{row}\n"), &Options::default()));
        assert!(message.starts_with(&format!("a.csv, line 3: {wanted}")), "{message}");
    }
    let long = format!("{},1,1\n", "x\u{7}".repeat(50));
    let message = said(azure(&long, &Options::default()));
    assert!(message.len() < 200 && message.contains('…') && !message.contains('\u{7}'), "{message}");
    let message = said(super::azure::read(
        &b"TIMESTAMP,ContextTokens,GeneratedTokens\n\xff\xfe,1,1\n"[..],
        "a.csv",
        &Options::default(),
    ));
    assert!(message.contains("line 2") && message.contains("UTF-8"), "{message}");
}

#[test]
fn formats_are_recognised_by_content() {
    let quick = Options::default();
    let file = Scratch::new("odd.txt", format!("\u{feff}{AZURE}2024-05-10 00:00:00.009930+00:00,1,1\r\n"));
    let trace = load(&file.0, &quick).unwrap();
    assert_eq!((trace.kind, trace.arrivals.len()), (Kind::Azure, 1));
    assert!(trace.name.ends_with("odd.txt"));

    let file = Scratch::new("other.csv", "time,size\n1,2\n");
    let message = said(load(&file.0, &quick));
    for part in ["begins with `time,size`", "GenTD26", "Azure", "chunk-N-trace.csv"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(said(load(&Scratch::new("none.csv", "").0, &quick)).contains("the file is empty"));
    assert!(said(load(&Scratch::new("head.csv", AZURE).0, &quick)).contains("a header and no row"));
    assert!(said(load(&Scratch::new("cut.tar.xz", b"\xFD7zXZ\0\0\0").0, &quick)).contains("cannot be unpacked"));
    assert!(said(load(Path::new("/nowhere/at.all"), &quick)).contains("cannot read /nowhere/at.all"));
}

/// Packs as `gzip` does.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, content).unwrap();
    packed.finish().unwrap()
}

/// Packs one file as `tar` does.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, name, content).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn what_is_packed_is_what_it_holds_whatever_its_name() {
    let rows: String = (0..500).map(|n| format!("2024-05-10 00:00:00.{n:03},{n}1,1\n")).collect();
    let table = format!("{AZURE}{rows}").into_bytes();
    let chunk = b"0,2.0,0.5,Gamma,4.0,0.125\n";
    let options = Options { duration: Some(Duration::from_secs(600)), ..Options::default() };
    for (name, bytes, kind) in [
        ("a.tar.xz", table.clone(), Kind::Azure),
        ("a.csv", gzip(&table), Kind::Azure),
        ("a.xz", gzip(&gzip(&table)), Kind::Azure),
        ("a.gz", archive("x/azure.csv", &table), Kind::Azure),
        ("a.tgz", gzip(&archive("x/azure.csv", &table)), Kind::Azure),
        ("a.txt", chunk.to_vec(), Kind::ServeGen),
        ("b.csv", gzip(chunk), Kind::ServeGen),
        ("a.zip", gzip(&archive("x/chunk-3-trace.csv", chunk)), Kind::ServeGen),
    ] {
        let file = Scratch::new(name, &bytes);
        let trace = load(&file.0, &options).unwrap();
        assert_eq!((trace.kind, trace.arrivals.is_empty()), (kind, false), "{name}");
    }
    let packed = gzip(&table);
    let mut garbled = packed.clone();
    // Its checksum: what it holds reads well to the end.
    garbled[packed.len() - 6] ^= 0xff;
    let windows: String = (0..100).map(|n| format!("{},2.0,0.5,Gamma,4.0,0.125\n", 600 * n)).collect();
    for (name, bytes, what) in [
        ("cut.csv.gz", &packed[..packed.len() / 2], "gzip stream"),
        ("head.gz", &packed[..9], "gzip stream"),
        ("garbled.gz", &garbled[..], "gzip stream"),
        ("cut.tar", &archive("chunk-0-trace.csv", windows.as_bytes())[..1_000], "tar archive"),
    ] {
        let file = Scratch::new(name, bytes);
        let message = said(load(&file.0, &options));
        assert!(message.contains(name) && message.contains(what) && message.contains("download"), "{message}");
    }
    let message = said(load(&Scratch::new("x.csv", b"PK\x03\x04rest").0, &options));
    assert!(message.contains("is zip, which") && message.contains("unpack it"), "{message}");
    let message = said(load(&Scratch::new("y.tar", archive("README", b"nothing")).0, &options));
    assert!(message.contains("no chunk-N-trace.csv"), "{message}");
}

#[test]
fn options_that_ask_for_nothing_are_refused() {
    let file = Scratch::new("options.csv", format!("{AZURE}2024-05-10 00:00:00,1,1\n"));
    for options in [
        Options { tenants: Some(0), ..Options::default() },
        Options { limit: Some(0), ..Options::default() },
        Options { duration: Some(Duration::ZERO), ..Options::default() },
    ] {
        assert!(matches!(load(&file.0, &options), Err(TraceError::Options { .. })));
    }
}

/// Loads real traces where `FAIRFLOW_TRACES` names a directory that holds them.
#[test]
fn real_traces_load() {
    let Some(directory) = std::env::var_os("FAIRFLOW_TRACES").map(PathBuf::from) else {
        println!("skipped: FAIRFLOW_TRACES names no directory with traces");
        return;
    };
    for (name, kind) in [
        ("gentd26_image_requests.csv", Kind::Gentd26),
        ("azure_llm_2023_conv.csv", Kind::Azure),
        ("servegen_mm-image.tar.xz", Kind::ServeGen),
        ("servegen_language_m-small.tar.xz", Kind::ServeGen),
    ] {
        let path = directory.join(name);
        if !path.exists() {
            println!("skipped: there is no {name}");
            continue;
        }
        let begun = std::time::SystemTime::now();
        let trace = load(&path, &Options { seed: 1, ..Options::default() }).unwrap();
        let took = begun.elapsed().unwrap_or_default();
        let tenants: std::collections::BTreeSet<&str> =
            trace.arrivals.iter().map(|arrival| arrival.tenant.as_str()).collect();
        let last = trace.arrivals.last().unwrap().at;
        println!(
            "{name}: {} arrivals, {} tenants, {last:?}, {took:?}\n  {}",
            trace.arrivals.len(),
            tenants.len(),
            trace.note
        );
        assert_eq!(trace.kind, kind);
        assert_eq!(trace.arrivals[0].at, Duration::ZERO);
        assert!(trace.arrivals.is_sorted_by_key(|arrival| arrival.at));
    }
}
