use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, ConfigError, Settings};
use crate::core::ledger::{Lifetime, Money};

const BASE: &str = "[providers.p]\nkind = \"sim\"\n[models.gpt-a]\nroutes = [{ provider = \"p\" }]\n\
    [models.\"img:1@1\"]\nroutes = [{ provider = \"p\" }]\n";

fn settings(rest: &str) -> Settings {
    Config::from_toml(&format!("{BASE}{rest}")).expect("TOML").validate().expect("valid")
}

fn problems(rest: &str) -> String {
    let config = Config::from_toml(&format!("{BASE}{rest}")).expect("TOML");
    config.validate().expect_err("invalid").to_string()
}

#[test]
fn what_a_tier_cannot_mean_is_named_with_its_remedy() {
    for (rest, said) in [
        (
            "[tiers.t]\nmodels = [\"gpt-aa\"]",
            "tiers.\"t\".models[0]: \"gpt-aa\" is not among [models]; did you mean \"gpt-a\"?",
        ),
        ("[tiers.t]\nmodels = [\"g*t\"]", "tiers.\"t\".models[0]: \"g*t\" is no model"),
        ("[tiers.t]\nmodels = [\"\"]", "tiers.\"t\".models[0]: \"\" is no model"),
        ("[tiers.t]\nmodels = []", "tiers.\"t\".models: would allow no model"),
        ("[tenants.a]\nmodels = [\"img:1\"]", "tenants.\"a\".models[0]: \"img:1\" is not among"),
        ("[tiers.t]\nbudget = { dollars_per_day = 0 }", "tiers.\"t\".budget.dollars_per_day: 0 is out of range"),
        (
            "[tenants.a]\nbudget = { dollars_per_day = nan }",
            "tenants.\"a\".budget.dollars_per_day: NaN is out of range",
        ),
        ("[tiers.t]\nupgrade = { to = \"u\", after_days = 1 }", "tiers.\"t\".upgrade.to: \"u\" is not among [tiers]"),
        (
            "[tiers.t]\nupgrade = { to = \"u\" }\n[tiers.u]",
            "tiers.\"t\".upgrade: would begin at once; give at least one",
        ),
        ("[tiers.t]\nupgrade = { to = \"t\", after_days = 1 }", "tiers.\"t\".upgrade.to: \"t\" leads back to \"t\""),
        (
            "[tiers.t]\nupgrade = { to = \"u\", after_days = 1 }\n[tiers.u]\nupgrade = { to = \"t\", after_days = 2 }",
            "tiers.\"u\".upgrade.to: \"t\" leads back to \"u\"",
        ),
        (
            "[tiers.t]\nupgrade = { to = \"u\", after_dollars = -1 }\n[tiers.u]",
            "upgrade.after_dollars: -1 is out of range",
        ),
        (
            "[models.m]\nroutes = [{ provider = \"p\" }]\nprice = { request = -1 }",
            "models.\"m\".price.request: -1 is no price",
        ),
        (
            "[tenants.a]\nmodels = [\"gpt-a\"]\nreserve = { \"img:1@1\" = 1 }",
            "tenants.\"a\".reserve.\"img:1@1\": is reserved where the tenant may not go",
        ),
        (
            "[server]\ntenants_file = \"x.toml\"",
            "server.tenants_file: x.toml is only read for a configuration that is a file",
        ),
    ] {
        let problems = problems(rest);
        assert!(problems.contains(said), "{rest}: {problems}");
    }
    let unknown = Config::from_toml("[tiers.t]\nbudget = { cost_per_day = 1 }").expect_err("unknown").to_string();
    assert!(unknown.contains("cost_per_day"), "{unknown}");
}

#[test]
fn models_are_allowed_by_name_and_by_beginning() {
    let settings = settings(
        "[tiers.t]\nmodels = [\"gpt-*\"]\n[tiers.all]\n[tenants.a]\ntier = \"t\"\n\
         [tenants.b]\ntier = \"t\"\nmodels = [\"img:1@1\"]\n[tenants.c]\ntier = \"all\"\n",
    );
    for (tenant, gpt, img) in [("a", true, false), ("b", false, true), ("c", true, true), ("stranger", true, true)] {
        let policy = settings.policy(tenant);
        assert_eq!((policy.allows("gpt-a"), policy.allows("img:1@1")), (gpt, img), "{tenant}");
    }
    let open = "[defaults]\nunknown_models = \"p\"\n[tiers.t]\nmodels = [\"whatever\"]";
    assert!(Config::from_toml(&format!("{BASE}{open}")).expect("TOML").validate().is_ok(), "names need not be known");
}

#[test]
fn a_tenant_rises_through_its_tiers_and_keeps_what_is_its_own() {
    let settings = settings(
        "[groups.g]\n[tiers.free]\nweight = 1\nupgrade = { to = \"paid\", after_dollars = 5 }\n\
         [tiers.paid]\nweight = 2\nbudget = { dollars_per_day = 9 }\nupgrade = { to = \"gold\", after_dollars = 50, after_days = 7 }\n\
         [tiers.gold]\nweight = 4\n[tenants.a]\ntier = \"free\"\ngroup = \"g\"\nbudget = { dollars_per_day = 3 }\n\
         [tenants.b]\ntier = \"free\"\n[tenants.c]\ntier = \"free\"\n",
    );
    let used = |dollars, days| Lifetime { spent: Money::from_dollars(dollars), requests: 1, days };
    let first = settings.policy("a");
    for (used, tier, weight) in [
        (used(4.9, 99), "free", 1.0),
        (used(5.0, 0), "paid", 2.0),
        (used(50.0, 6), "paid", 2.0),
        (used(50.0, 7), "gold", 4.0),
    ] {
        let policy = first.after(&used);
        assert_eq!((policy.tier.as_deref(), policy.limits.weight.value()), (Some(tier), weight));
        assert!(policy.limits.group.is_some());
        assert_eq!(policy.budget, Some(Money::from_dollars(3.0)), "its own budget, whatever the tier's");
    }
    assert_eq!(settings.policy("b").after(&used(5.0, 0)).budget, Some(Money::from_dollars(9.0)));
    assert!(std::sync::Arc::ptr_eq(settings.policy("b"), settings.policy("c")), "what is the same is kept once");
}

#[test]
fn a_price_is_of_what_was_used() {
    let settings = settings(
        "[models.m]\nroutes = [{ provider = \"p\" }]\nprice = { request = 0.5, input_per_million = 2, output_per_million = 10 }\n\
         [models.n]\nroutes = [{ provider = \"p\" }]\nprice = { request = 0.04 }\n",
    );
    let price = |model: &str| settings.models[model].price.expect("it has one");
    assert_eq!(price("m").of(Some(500_000), Some(100_000)), Some(Money::from_dollars(2.5)));
    assert_eq!(price("m").of(None, Some(1)), None, "tokens nobody told of");
    assert_eq!(price("n").of(None, None), Some(Money::from_dollars(0.04)));
}

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("fairflow-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn tenants_of_a_file_of_their_own_are_like_all_others_and_errors_name_it() {
    let folder = Folder::new("tenants");
    let main =
        folder.write("main.toml", &format!("{BASE}[server]\ntenants_file = \"t.toml\"\n[tiers.t]\n[tenants.here]\n"));
    folder.write("t.toml", "[tenants.there]\ntier = \"t\"\n");
    let config = Config::from_path(&main).expect("read");
    assert_eq!(config.clone().validate().expect("valid").policy("there").tier.as_deref(), Some("t"));
    let again = Config::from_toml(&config.to_toml()).expect("TOML");
    assert_eq!((again.tenants, again.server.tenants_file), (config.tenants.clone(), None), "written in one");

    // What is gone from the file is gone; what the configuration names itself stays.
    let file = folder.write("t.toml", "[tenants.other]\n");
    let names: Vec<String> = config.clone().with_tenants(&file).expect("read").tenants.into_keys().collect();
    assert_eq!(names, ["here", "other"]);

    let said = |text: &str| {
        let file = folder.write("t.toml", text);
        let refused = config.clone().with_tenants(&file).and_then(|config| config.validate());
        refused.expect_err("wrong").to_string()
    };
    for (text, wanted) in [
        ("[tenants.here]\n", "t.toml: tenants.\"here\": is in the configuration itself too"),
        (
            "[tenants.x]\ntier = \"tt\"\n",
            "t.toml: tenants.\"x\".tier: \"tt\" is not among [tiers]; did you mean \"t\"?",
        ),
        ("[tenants.x]\ntir = \"t\"\n", "t.toml: line 2"),
        ("[models.x]\n", "t.toml: line 1"),
    ] {
        let said = said(text);
        assert!(said.contains(wanted), "{text}: {said}");
    }
    std::fs::remove_file(folder.0.join("t.toml")).expect("there");
    assert!(Config::from_path(&main).expect_err("gone").to_string().contains("t.toml cannot be read"));
}

#[test]
fn an_empty_file_is_not_followed_where_there_was_something_before() {
    let folder = Folder::new("empty");
    let text = format!("{BASE}[server]\ntenants_file = \"t.toml\"\n[tenants.here]\n");
    let main = folder.write("main.toml", &text);
    let tenants = folder.write("t.toml", "[tenants.there]\n");
    let running = Config::from_path(&main).expect("read");
    let refused = |config: Result<Config, ConfigError>, name: &str| {
        let error = config.and_then(|next| running.follow(next, &main)).expect_err("empty");
        assert!(matches!(&error, ConfigError::Empty { path } if path.ends_with(name)), "{error}");
    };
    for nothing in ["", "\n \n", "# a comment\n"] {
        folder.write("t.toml", nothing);
        refused(running.clone().with_tenants(&tenants), "t.toml");
        refused(Config::from_path(&main), "t.toml");
        folder.write("main.toml", nothing);
        refused(Config::from_path(&main), "main.toml");
        folder.write("main.toml", &text);
    }
    // To end all tenants is a thing to say, and what had nothing before may have nothing now.
    folder.write("t.toml", "[tenants]\n");
    let none = running.follow(Config::from_path(&main).expect("read"), &main).expect("said");
    assert_eq!(none.tenants.keys().collect::<Vec<_>>(), ["here"]);
    folder.write("t.toml", "");
    assert!(none.follow(Config::from_path(&main).expect("read"), &main).is_ok());
    assert!(Config::default().follow(Config::default(), &main).is_ok());
}

/// Ten times the tenants may take about ten times as long, not a hundred times.
#[test]
#[allow(clippy::disallowed_methods, reason = "compares the code with itself")]
fn the_time_to_read_tenants_grows_with_their_number() {
    let folder = Folder::new("many");
    let base = Config::from_toml(&format!("{BASE}[tiers.t]\n[groups.g]\n")).expect("TOML");
    let time = |tenants: usize| {
        let one = |n: usize| format!("[tenants.t{n}]\ntier = \"t\"\ngroup = \"g\"\napi_keys = [\"sha256:{n:064x}\"]\n");
        let file = folder.write("many.toml", &(0..tenants).map(one).collect::<String>());
        let read = || {
            let began = std::time::Instant::now();
            let settings = base.clone().with_tenants(&file).and_then(|config| config.validate()).expect("valid");
            assert_eq!((settings.tenants.len(), settings.keys.len()), (tenants, tenants));
            began.elapsed()
        };
        (0..3).map(|_| read()).min().unwrap_or(Duration::MAX)
    };
    let (few, many) = (time(1_000), time(10_000));
    assert!(many < few * 40, "{few:?} for 1000, {many:?} for 10000");
}
