//! What is shipped for operators fits what the gateway serves: dashboard, alert rules, example configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::{client, found};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The names of metrics in an expression of PromQL, each with the labels that it is selected or grouped by.
fn read(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    const WORDS: [&str; 13] = [
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "inf",
        "nan",
    ];
    let chars: Vec<char> = expression.chars().collect();
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    // Whether names are labels now: within braces, or within the parentheses behind a grouping word.
    let (mut i, mut in_labels, mut groups) = (0, false, false);
    while i < chars.len() {
        match chars[i] {
            '"' => {
                i += 1;
                while chars[i] != '"' {
                    i += if chars[i] == '\\' { 2 } else { 1 };
                }
            }
            '[' => i += chars[i..].iter().take_while(|c| **c != ']').count(),
            '{' => in_labels = true,
            '(' if groups => (in_labels, groups) = (true, false),
            '}' | ')' => in_labels = false,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let word: String =
                    chars[i..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_' || **c == ':').collect();
                i += word.len();
                let next = chars[i..].iter().find(|c| !c.is_whitespace());
                if in_labels {
                    labels.insert(word);
                } else if WORDS.contains(&word.as_str()) {
                    groups = ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word.as_str());
                } else if next != Some(&'(') && !(next == Some(&'b') || is_aggregation(&word)) {
                    metrics.insert(word);
                }
                continue;
            }
            c if c.is_ascii_digit() => {
                i += chars[i..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '.').count();
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    (metrics, labels)
}

/// Says whether a word is one that `by` may follow.
fn is_aggregation(word: &str) -> bool {
    ["sum", "min", "max", "avg", "count", "topk"].contains(&word)
}

#[test]
fn expressions_are_read() {
    let expression = r#"histogram_quantile(0.9, sum by (model, le) (rate(a_bucket{x=~"$y|z{", k!="\"q"}[5m]))) > on (m) 0.8 * max(b) or vector(0) and c == 1e3"#;
    let (metrics, labels) = read(expression);
    assert_eq!(metrics.into_iter().collect::<Vec<_>>(), ["a_bucket", "b", "c"]);
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), ["k", "le", "m", "model", "x"]);
}

/// Returns each sample's name in `/metrics` with its labels.
fn served(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut served = BTreeMap::<String, BTreeSet<String>>::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let named = labels.split("\",").filter_map(|label| Some(label.split_once("=\"")?.0.to_owned()));
        // Prometheus adds these.
        let added = ["instance", "job"].map(str::to_owned);
        served.entry(name.to_owned()).or_default().extend(named.chain(added));
    }
    served.insert("up".to_owned(), ["instance", "job"].map(str::to_owned).into());
    served
}

/// Returns `/metrics` of a gateway on which every series has counted, or shows a request that is held.
pub async fn busy_page() -> String {
    let lab = Lab::start();
    let models = [
        ("ok", ""),
        ("quick", "window = { min = 2, max = 2 }"),
        ("down", "retry = { max_attempts = 2, base = \"10ms\" }"),
        ("bad", ""),
        ("hang", ""),
    ];
    let gateway = lab.gateway("", &models);
    for model in ["ok", "down", "bad", "none"] {
        post(&gateway, CHAT, &chat(model), &[]).await;
    }
    // Moves the window.
    let pin = client().post(format!("{}/admin/models/bad", gateway.admin)).body(r#"{"action":"pin","window":9}"#);
    assert_eq!(pin.send().await.unwrap().status(), 200);
    // The first crowd teaches how fast it drains, the second waits under forecasts.
    for _ in 0..2 {
        let quick = chat("quick");
        futures_util::future::join_all((0..40).map(|_| post(&gateway, CHAT, &quick, &[]))).await;
    }
    let held = client().post(format!("{}{CHAT}", gateway.public)).body(streamed("hang").to_string()).send();
    let held = tokio::spawn(held);
    lab.busy(1).await;
    // Snapshots follow what happens.
    let page = found("the held request shows", async || {
        let page = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
        page.contains("fairflow_in_flight{model=\"hang\"} 1").then_some(page)
    })
    .await;
    held.abort();
    page
}

#[tokio::test]
async fn dashboard_and_alerts_name_what_is_there() {
    let served = served(&busy_page().await);

    let mut expressions = Vec::new();
    let alerts = std::fs::read_to_string(root("docs/operate/alerts.yml")).unwrap();
    expressions.extend(alerts.lines().filter_map(|line| Some(line.trim().strip_prefix("expr: ")?.to_owned())));
    assert_eq!(expressions.len(), alerts.matches("- alert: ").count(), "an expression stands on one line");
    let dashboard = std::fs::read_to_string(root("docs/operate/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        // label_values(METRIC{…}, LABEL)
        let query = variable["definition"].as_str().and_then(|query| query.strip_prefix("label_values("));
        if let Some((metric, label)) = query.and_then(|query| query.strip_suffix(')')?.rsplit_once(", ")) {
            expressions.push(format!("sum by ({label}) ({metric})"));
        }
    }
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let (metrics, labels) = read(expression);
        assert!(!metrics.is_empty(), "{expression}");
        let known: BTreeSet<String> = metrics
            .iter()
            .flat_map(|metric| {
                served
                    .get(metric)
                    .unwrap_or_else(|| panic!("{metric} is not served; asked for by {expression}"))
                    .clone()
            })
            .collect();
        let unknown: Vec<_> = labels.difference(&known).collect();
        assert!(unknown.is_empty(), "no labels {unknown:?}, asked for by {expression}");
        used.extend(metrics);
    }
    // And nothing that is served goes unused.
    let family = |name: &str| {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        name.to_owned()
    };
    let used: BTreeSet<String> = used.iter().map(|name| family(name)).collect();
    let unused: Vec<_> = served.keys().map(|name| family(name)).filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "served, and on no panel: {unused:?}");
}

/// Runs `fairflow check` and returns its status, and what it printed.
fn check(file: &Path, env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairflow"));
    let made = command.arg("check").arg(file).envs(env.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (made.status.code(), text(&made.stdout), text(&made.stderr))
}

#[test]
fn every_example_config_is_accepted() {
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(root("examples/config")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // Each key it names is there.
        let named = text.split("env = \"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let env: Vec<_> = named.map(|name| (name, "k")).collect();
        let (status, told, problems) = check(&path, &env);
        assert_eq!((status, problems.as_str()), (Some(0), ""), "{}", path.display());
        assert!(told.contains("valid"), "{told}");
        kinds.extend(text.lines().filter_map(|line| Some(line.strip_prefix("kind = ")?.trim_matches('"').to_owned())));
        // Where to start it from is said in the file.
        assert!(text.contains(&format!("--config examples/config/{}", path.file_name().unwrap().display())));
    }
    let all = ["ark", "bfl", "fal", "openai", "replicate", "runware", "sim"].map(str::to_owned);
    assert_eq!(kinds, all.into(), "an example for each kind");
}

#[test]
fn the_config_of_the_manifests_is_accepted() {
    let manifest = std::fs::read_to_string(root("deploy/kubernetes/config.yaml")).unwrap();
    let block = manifest.split("fairflow.toml: |\n").nth(1).unwrap().split("\n---").next().unwrap();
    let text: String = block.lines().map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect();
    let path = std::env::temp_dir().join(format!("fairflow-manifest-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let (status, _, problems) = check(&path, &[("FAIRFLOW_ADMIN_KEY", "k"), ("OPENAI_API_KEY", "k")]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((status, problems.as_str()), (Some(0), ""));
}

#[test]
fn the_status_of_a_check_is_for_scripts() {
    let path = std::env::temp_dir().join(format!("fairflow-check-{}.toml", std::process::id()));
    let shown = path.display().to_string();
    assert_eq!(check(&path, &[]).0, Some(1), "there is no file");
    std::fs::write(
        &path,
        "[providers.a]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"b\" }]\ntimeout = \"0s\"\n",
    )
    .unwrap();
    let (status, told, problems) = check(&path, &[]);
    assert_eq!((status, told.as_str()), (Some(2), ""));
    let lines: Vec<_> = problems.lines().collect();
    assert!(lines[0].starts_with(&format!("{shown}:4:13: models.\"m\".routes[0].provider: ")), "{problems}");
    assert!(lines[1].starts_with(&format!("{shown}:5:1: models.\"m\".timeout: ")), "{problems}");
    assert_eq!(lines[2..], ["2 problems"]);
    std::fs::write(&path, "[providers.a]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"a\" }]\n").unwrap();
    let (status, told, problems) = check(&path, &[]);
    assert_eq!((status, problems.as_str()), (Some(0), ""));
    assert!(
        told.contains("model    m: a/m; window 1 to 256, 10000 may wait up to 60s, 4 attempts of up to 120s"),
        "{told}"
    );
    // Tenants of a file of their own belong to it, and are told of there.
    let tenants = path.with_extension("tenants.toml");
    let name = tenants.file_name().unwrap().to_str().unwrap();
    std::fs::write(&path, format!("[server]\ntenants_file = {name:?}\n")).unwrap();
    std::fs::write(&tenants, "[tenants.a]\n\n[tenants.b]\ntier = \"gold\"\n").unwrap();
    let (status, _, problems) = check(&path, &[]);
    let stands = problems.starts_with(&format!("{}:4:1: tenants.\"b\".tier: ", tenants.display()));
    assert!(status == Some(2) && stands, "{problems}");
    std::fs::write(&tenants, "[tenants.a]\n").unwrap();
    let (status, told, problems) = check(&path, &[]);
    assert!(
        status == Some(0) && told.contains("no model: every") && told.contains("1 tenant)") && problems.is_empty(),
        "{told}{problems}"
    );
    std::fs::remove_file(&tenants).unwrap();
    assert_eq!(check(&path, &[]).0, Some(1), "there is no such file of tenants");
    std::fs::remove_file(&path).unwrap();
}
