//! Bad configs: each is refused with the key, the value and the remedy.

use std::time::Duration;

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

#[test]
fn one_bad_value_hides_no_other_problem() {
    let text = format!(
        "{BASE}max_in_flight = \"many\"\nrate = {{ requests_per_minute = 0 }}\n[server]\ndrain_timeout = \"soon\"\n\
         drain_delay = 5s\nlissten = 1\n[models.\"a.b\"]\nroutes = [{{ provider = \"lob\" }}, {{ providr = \"lab\" }}]\n\
         timeout = \"99999y\"\n[models.c]\nroutes = [5, {{ provider = \"lab\" }}]\n[tenants.t]\n\
         api_keys = [\"sha256:x\", \"sha256:y\"]\ntier = \"gold\"\n"
    );
    let Err(ConfigError::Invalid(problems)) = Config::from_toml(&text) else { panic!("it is wrong") };
    let told: Vec<_> = problems.iter().map(|one| (one.path.as_str(), one.place.as_ref().map(|at| at.line))).collect();
    assert_eq!(
        told,
        [
            ("server.drain_delay", Some(8)),
            ("models.\"a.b\".routes[1].providr", Some(11)),
            ("models.\"a.b\".timeout", Some(12)),
            ("models.\"c\".routes[0]", Some(14)),
            ("providers.\"lab\".max_in_flight", Some(4)),
            ("server.drain_timeout", Some(7)),
            ("server.lissten", Some(9)),
            ("tenants.\"t\".api_keys", Some(16)),
            ("providers.\"lab\".rate.requests_per_minute", None),
            ("models.\"a.b\".routes[0].provider", None),
            ("models.\"a.b\".routes[1].provider", None),
            ("tenants.\"t\".tier", None),
        ],
        "{problems:#?}"
    );
}

#[test]
fn a_text_that_is_no_toml_is_refused_at_its_first_fault() {
    for text in ["[server\nx = 1", "[models.m]\nroutes = [ { provider = \"a\" \n[x]", "a = 1\na = 2"] {
        let Err(ConfigError::Invalid(problems)) = Config::from_toml(text) else { panic!("{text}: it is wrong") };
        assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
        assert!(problems[0].place.is_some());
    }
}

#[test]
fn a_span_beyond_what_clocks_hold_is_refused_wherever_one_may_stand() {
    let mut found = 0;
    let written = "[server]\ndrain_timeout = \"1m\"\ndrain_delay = \"1m\"\nkeep_alive = \"1m\"\n[socket]\nidle = \"1m\"\n\
                   resume = \"1m\"\nsync_timeout = \"1m\"\n[jobs]\nkeep = \"1m\"\n[webhooks]\nbase = \"1m\"\nmax = \"1m\"\n\
                   timeout = \"1m\"\n[defaults]\ntimeout = \"1m\"\nhealthy_latency = \"1m\"\nqueue.max_wait = \"1m\"\n\
                   queue.long = \"1m\"\nretry.base = \"1m\"\nretry.max = \"1m\"\nwindow.latency_target = \"1m\"\n\
                   [telemetry]\nmetrics_interval = \"1m\"\n[providers.s]\nkind = \"sim\"\nsim.service = \"1m\"\n";
    assert_eq!(problems(written), "(accepted)");
    for line in written.lines().filter(|line| line.contains("1m")) {
        for most in ["18446744073709551615s", "3651d"] {
            let said = problems(&written.replace(line, &line.replace("1m", most)));
            let key = line.split(' ').next().expect("a key");
            assert!(said.contains(key) && said.contains("out of range; give at most"), "{line}: {said}");
            found += 1;
        }
    }
    assert!(found > 30);
    // A configuration that was built has never been read.
    for span in [Duration::MAX, Span::LONGEST + Duration::from_nanos(1)] {
        let mut config = Config::demo().model("m", ModelConfig::on("sim").timeout(span).max_wait(span));
        (config.server.drain_delay, config.server.drain_timeout) = (Span(span), Span(span));
        let said = config.validate().expect_err("out of range").to_string();
        for key in ["models.\"m\".timeout", "models.\"m\".queue.max_wait", "server.drain_delay", "server.drain_timeout"]
        {
            assert!(said.contains(&format!("{key}: ")), "{key}: {said}");
        }
    }
    let longest = Config::demo().model("m", ModelConfig::on("sim").timeout(Span::LONGEST));
    assert!(longest.validate().is_ok());
}

#[test]
fn a_route_that_is_listed_twice_is_refused_with_its_place() {
    let routes = |routes: &str| problems(&format!("{BASE}[models.m]\nroutes = [{routes}]\n"));
    let wanted = "models.\"m\".routes[1]: is routes[0] again";
    for twice in [
        "{ provider = \"lab\" }, { provider = \"lab\" }",
        "{ provider = \"lab\" }, { provider = \"lab\", model = \"m\" }",
        "{ provider = \"lab\", model = \"x\" }, { provider = \"lab\", model = \"x\" }",
    ] {
        assert!(routes(twice).contains(wanted), "{twice}: {}", routes(twice));
    }
    assert_eq!(routes("{ provider = \"lab\" }, { provider = \"lab\", model = \"x\" }"), "(accepted)");
}

#[test]
fn names_can_stand_in_headers_logs_and_metrics() {
    let long = "x".repeat(257);
    for name in ["", "a\\nb", "\\u0000", long.as_str()] {
        for (table, rest) in [("providers", "kind = \"sim\""), ("models", "routes = []"), ("tenants", "")] {
            let said = problems(&format!("[{table}.\"{name}\"]\n{rest}\n"));
            assert!(said.starts_with(&format!("{table}.\"")) && said.contains("\": is no name"), "{said}");
        }
    }
}
