//! Bad configs: each is refused with the key, the value and the remedy.

use super::*;

fn problems(text: &str) -> String {
    match Config::from_toml(text).and_then(|config| config.validate().map(drop)) {
        Ok(()) => String::from("(accepted)"),
        Err(error) => error.to_string(),
    }
}

const BASE: &str = "[providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9300/v1\"\n";

#[test]
fn the_example_of_the_contract_is_valid() {
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:8080"
admin_listen = "127.0.0.1:8081"
auth = "keys"
max_body = "64MiB"
drain_timeout = "60s"
{BASE}max_in_flight = 256
rate = {{ requests_per_minute = 600, tokens_per_minute = 90000 }}
[models."gpt-test"]
routes = [{{ provider = "lab", model = "gpt-test" }}]
queue = {{ capacity = 10000, max_wait = "60s" }}
window = {{ initial = 4, min = 1, max = 256 }}
retry = {{ max_attempts = 4, base = "1s", max = "30s", budget = 0.2 }}
timeout = "120s"
healthy_latency = "30s"
[defaults]
tier = "standard"
[tiers.standard]
weight = 1
class = "standard"
max_in_flight = 4
max_queued = 1000
[tenants.acme]
tier = "standard"
api_keys = ["{}"]
reserve = {{ "gpt-test" = 4 }}
"#,
        KeyHash([7; 32])
    );
    let config = Config::from_toml(&text).expect("parses");
    let settings = config.validate().expect("valid");
    assert_eq!(settings.policy("acme").limits.max_in_flight, 4);
    assert_eq!(settings.models["gpt-test"].queue.capacity, 10_000);
    let again = Config::from_toml(&toml::to_string(&config).expect("serialises")).expect("parses again");
    assert_eq!(again, config, "what is written is what was read");
}

#[test]
fn a_secret_in_the_wrong_form_is_not_repeated() {
    for text in [
        "[webhooks]\nsecret = \"hunter2\"",
        "[server]\nadmin_key = \"hunter2\"",
        "[telemetry]\notlp_headers = { authorization = \"hunter2\" }",
        "[telemetry.otlp_headers]\nauthorization = \"hunter2\"",
        "[providers.lab]\nkind = \"openai\"\napi_key = \"hunter2\"",
        "[providers.lab]\nkind = \"openai\"\napi_key.key = \"hunter2\"",
        "[providers.lab]\nkind = \"openai\"\napi_key = { vallue = \"hunter2\" }",
        "[tenants.acme]\napi_keys = [\"hunter2\"]",
        "[tenants.acme]\napi_keys = \"hunter2\"",
    ] {
        let told = problems(text);
        assert!(!told.contains("hunter2") && told.contains("must be"), "{text}\n{told}");
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    for (text, expected) in [
        ("[server]\nlissten = \"127.0.0.1:1\"", "did you mean `listen`?"),
        ("[providers.a]\nkind = \"sim\"\nmax_inflight = 3", "did you mean `max_in_flight`?"),
        ("[modles.a]", "did you mean `models`?"),
        ("[models.a]\nwindow = { maximum = 3 }", "did you mean `max`?"),
    ] {
        let said = problems(text);
        assert!(said.contains(expected) && said.contains("line"), "{said}");
    }
}

#[test]
fn every_bad_value_is_named_with_its_remedy() {
    let model = |keys: &str| format!("{BASE}[models.m]\nroutes = [{{ provider = \"lab\" }}]\n{keys}");
    for (text, expected) in [
        (model("window = { min = 9, max = 3 }"), "models.\"m\".window.min: 9 is above max 3"),
        (model("window = { initial = 9, max = 3 }"), "window.initial: 9 is outside min 1 to max 3"),
        (model("window = { max = 0 }"), "window.max: 0 is out of range"),
        (model("window = { max = -1 }"), "invalid value"),
        (model("window = { ramp = 0 }"), "window.ramp: 0 is out of range; give 1 to 8"),
        (model("window = { ramp = 9 }"), "window.ramp: 9 is out of range"),
        (model("window = { refusals_free = 1 }"), "expected a boolean"),
        (model("window = { latency_target = \"0s\" }"), "window.latency_target: 0s is out of range; give a time"),
        (model("window = { latency_target = 5 }"), "expected a string"),
        (model("queue = { capacity = 0 }"), "queue.capacity: 0 is out of range"),
        (model("queue = { max_wait = \"0s\" }"), "queue.max_wait: 0s"),
        (model("timeout = \"soon\""), "\"soon\" is no duration"),
        (model("timeout = 5"), "expected a string"),
        (model("retry = { budget = nan }"), "retry.budget: NaN"),
        (model("retry = { budget = -0.1 }"), "retry.budget: -0.1"),
        (model("retry = { base = \"60s\" }"), "retry.base: 60s is above retry.max 30s"),
        (format!("{BASE}[models.m]\nroutes = []"), "models.\"m\".routes: no route"),
        (format!("{BASE}[models.m]\nroutes = [{{ provider = \"labb\" }}]"), "did you mean \"lab\"?"),
        ("[providers.p]\nkind = \"openai\"".into(), "providers.\"p\".base_url: is missing"),
        ("[providers.p]\nkind = \"openai\"\nbase_url = \"ftp://x\"".into(), "is no URL"),
        ("[providers.p]\nkind = \"openia\"\nbase_url = \"http://x\"".into(), "did you mean \"openai\"?"),
        ("[providers.p]\nkind = \"fall\"".into(), "did you mean \"fal\"?"),
        (
            "[providers.p]\nkind = \"bfl\"\npoll = { initial = \"9s\", max = \"1s\" }".into(),
            "poll.initial: 9s is above",
        ),
        ("[providers.p]\nkind = \"bfl\"\npoll = { growth = 0.5 }".into(), "poll.growth: 0.5 is out of range"),
        ("[providers.p]\nkind = \"bfl\"\npoll = { per_second = nan }".into(), "poll.per_second: NaN is out of range"),
        ("[providers.p]\nkind = \"bfl\"\npoll = { hosts = [\"*.ai\"] }".into(), "poll.hosts[0]: \"*.ai\" is no host"),
        ("[providers.p]\nkind = \"bfl\"\npoll = { hosts = [\"https://x.ai\"] }".into(), "is no host"),
        ("[providers.p]\nkind = \"bfl\"\napi_version = \"1\"".into(), "api_version: belongs to kind = \"openai\""),
        ("[providers.p]\nkind = \"bfl\"\ntransport = \"rest\"".into(), "transport: belongs to kind = \"runware\""),
        ("[providers.p]\nkind = \"runware\"\ntransport = \"ws\"".into(), "unknown variant"),
        (format!("{BASE}poll = {{ max = \"1s\" }}"), "poll: belongs to kind"),
        (format!("{BASE}key_header = \"x-key\""), "key_header: \"x-key\" is not known"),
        (format!("{BASE}api_version = \"1&x=2\""), "api_version: \"1&x=2\" is no version"),
        (
            "[providers.p]\nkind = \"bfl\"\nhandles = \"h\"\n[providers.q]\nkind = \"fal\"\nhandles = \"h\"".into(),
            "providers.\"q\".handles: is the file of provider \"p\" too",
        ),
        (format!("{BASE}rate = {{ requests_per_minute = nan }}"), "requests_per_minute: NaN is no rate"),
        (format!("{BASE}rate = {{ requests_per_minute = 0 }}"), "requests_per_minute: 0 is no rate"),
        (format!("{BASE}max_in_flight = 0"), "max_in_flight: 0 is out of range"),
        (format!("{BASE}api_key = {{ env = \"FAIRFLOW_TEST_UNSET\" }}"), "FAIRFLOW_TEST_UNSET is not set"),
        ("[tiers.t]\nweight = 0".into(), "tiers.\"t\".weight: 0 is out of range"),
        ("[tiers.t]\nweight = nan".into(), "tiers.\"t\".weight: NaN"),
        ("[tiers.t]\nclass = \"vip\"".into(), "\"vip\" is no class"),
        ("[tenants.a]\ntier = \"gold\"".into(), "\"gold\" is not among [tiers]"),
        ("[tenants.a]\napi_keys = [\"sk-pasted\"]".into(), "fairflow hash-key"),
        (format!("{BASE}api_key = \"sk-pasted\""), "api_key: must be { env = \"NAME\" }"),
        (format!("{BASE}api_key = {{ value = \"sk-pasted\", x = 1 }}"), "api_key: must be { env = \"NAME\" }"),
        ("[server]\nauth = \"keys\"".into(), "lets nobody in"),
        ("[server]\nlisten = \"0.0.0.0:8080\"".into(), "is not loopback; set auth"),
        ("[server]\nadmin_listen = \"0.0.0.0:8081\"".into(), "server.admin_key: needed"),
        ("[server]\nadmin_listen = \"127.0.0.1:8080\"".into(), "is the public address too"),
        ("[server]\nmax_body = \"huge\"".into(), "is no size"),
    ] {
        let said = problems(&text);
        assert!(said.contains(expected), "{text}\nsaid: {said}\nexpected: {expected}");
        assert!(!said.contains("sk-pasted"), "a key pasted by mistake must not be repeated: {said}");
    }
}

#[test]
fn all_problems_are_said_at_once() {
    let said = problems("[providers.p]\nkind = \"openai\"\n[tiers.t]\nweight = -1\n[defaults]\ntier = \"x\"");
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn a_window_may_be_pinned_without_naming_its_start() {
    let text = format!("{BASE}[models.m]\nroutes = [{{ provider = \"lab\" }}]\nwindow = {{ min = 8, max = 8 }}");
    let settings = Config::from_toml(&text).and_then(|config| config.validate()).expect("valid");
    assert_eq!(settings.models["m"].window.initial, 8);
}

#[test]
fn each_key_of_a_window_falls_back_on_its_own() {
    let text = format!(
        "{BASE}[models.m]\nroutes = [{{ provider = \"lab\" }}]\nwindow = {{ ramp = 1 }}\n[defaults]\n\
         window = {{ ramp = 4, refusals_free = true, latency_target = \"5s\" }}"
    );
    let settings = Config::from_toml(&text).and_then(|config| config.validate()).expect("valid");
    let window = settings.models["m"].window;
    assert_eq!((window.ramp, window.refusals_free), (1, true));
    assert_eq!(window.latency_target, Some(std::time::Duration::from_secs(5)));
    let shown = settings.effective();
    assert_eq!(shown["models"]["m"]["window"]["latency_target"], "5s");
    let built = Config::new().provider("lab", ProviderConfig::custom()).model(
        "m",
        ModelConfig::on("lab").ramp(1).refusals_free(true).latency_target(std::time::Duration::from_secs(5)),
    );
    assert_eq!(built.validate().expect("valid").models["m"].window, window);
}

#[test]
fn services_with_an_address_of_their_own_need_none() {
    for kind in ["bfl", "fal", "replicate", "ark", "runware"] {
        let text = format!("[providers.p]\nkind = \"{kind}\"");
        let settings = Config::from_toml(&text).and_then(|config| config.validate()).expect(kind);
        let base_url = match &settings.providers["p"].kind {
            ProviderKind::Task(task) => &task.endpoint.base_url,
            ProviderKind::Runware(runware) => &runware.endpoint.base_url,
            other => panic!("{kind} became {other:?}"),
        };
        assert!(base_url.starts_with("https://"), "{base_url}");
    }
}

#[test]
fn the_demo_is_valid() {
    assert!(Config::demo().validate().is_ok());
}

#[test]
fn groups_and_reservations_name_what_is_wrong() {
    let base = "[providers.sim]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"sim\" }]\n[groups.big]\nweight = 2\n\
        [tiers.t]\nmax_in_flight = 2\n";
    let problem = |rest: &str| {
        let config = Config::from_toml(&format!("{base}{rest}")).expect("TOML");
        config.validate().expect_err("invalid").to_string()
    };
    for (rest, said) in [
        ("[tenants.a]\ngroup = \"bigg\"", "did you mean \"big\"?"),
        ("[tenants.a]\nreserve = { mm = 1 }", "did you mean \"m\"?"),
        ("[tenants.a]\nreserve = { m = 0 }", "tenants.\"a\".reserve.\"m\""),
        ("[tenants.a]\ntier = \"t\"\nreserve = { m = 3 }", "3 is above the tier's max_in_flight 2"),
        ("[groups.other]\nweight = -1", "groups.\"other\".weight"),
        ("[defaults.queue]\nhead_start = 3", "queue.head_start"),
        ("[defaults.queue]\nclass_weights = { batch = 0 }", "queue.class_weights.batch"),
        ("[defaults.queue]\nunlendable = 1.5", "queue.unlendable"),
    ] {
        let problem = problem(rest);
        assert!(problem.contains(said), "{rest}: {problem}");
    }
}
