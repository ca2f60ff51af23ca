//! A configuration written as TOML is read as the same.

use std::time::Duration;

use fairflow::config::{
    AuthMode, KeyHash, KeySource, ModelConfig, ProviderConfig, SimConfig, Size, Span, TenantConfig, TierConfig,
    WindowConfig,
};
use fairflow::{Class, Config};
use proptest::collection::btree_map as map;
use proptest::prelude::*;

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![(1u64..5_000).prop_map(Duration::from_millis), (1u64..9_999_999_999).prop_map(Duration::from_nanos)]
}

/// Names with everything that a TOML key or string may have to quote.
fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[ -~]{1,12}", "[a-zäß\"'\\\\.:@/\n]{1,6}"]
}

fn maybe<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(of)
}

fn providers() -> impl Strategy<Value = ProviderConfig> {
    let key = prop_oneof![
        "[A-Z_]{1,9}".prop_map(KeySource::Env),
        "/[a-z/]{1,9}".prop_map(|path| KeySource::File(path.into()))
    ];
    let remote = (maybe(key), maybe(1..9_999u32), maybe(0.001..1e9f64), maybe(1.0..1e9f64), maybe(1..usize::MAX / 2));
    let remote = remote.prop_map(|(key, flight, requests, tokens, size)| {
        let mut provider = ProviderConfig::openai("http://127.0.0.1:9300/v1");
        provider = key.into_iter().fold(provider, ProviderConfig::api_key);
        provider = flight.into_iter().fold(provider, ProviderConfig::max_in_flight);
        provider = requests.into_iter().fold(provider, ProviderConfig::requests_per_minute);
        provider = tokens.into_iter().fold(provider, ProviderConfig::tokens_per_minute);
        size.into_iter().fold(provider, ProviderConfig::max_response)
    });
    let sim = (1..999u32, spans(), 0.0..3.0f64, maybe(spans()), 0.0..1.0f64, any::<bool>(), 0..u64::MAX / 2);
    let sim = sim.prop_map(|(capacity, service, sigma, outage, hang, headers, seed)| {
        let mut sim = SimConfig::new().capacity(capacity).service(service).sigma(sigma).hang(hang);
        sim.outage_after = outage.map(Span);
        ProviderConfig::sim(sim.headers(headers).seed(seed))
    });
    prop_oneof![remote, sim, Just(ProviderConfig::custom())]
}

fn models() -> impl Strategy<Value = ModelConfig> {
    let parts = (
        (names(), maybe((names(), names())), maybe(1..99_999u32), maybe(spans())),
        (maybe((1..9u32, 1..9u32, 9..999u32)), maybe((1..9u32, spans(), spans())), maybe(0.0..1.0f64)),
        (maybe(spans()), maybe(spans())),
    );
    parts.prop_map(|((provider, other, capacity, wait), (window, retry, budget), (timeout, healthy))| {
        let mut model = ModelConfig::on(provider);
        model = other.into_iter().fold(model, |model, (provider, name)| model.route(provider, name));
        model = capacity.into_iter().fold(model, ModelConfig::queue_capacity);
        model = wait.into_iter().fold(model, ModelConfig::max_wait);
        model = window.into_iter().fold(model, |model, (initial, min, max)| {
            model.window(WindowConfig::between(min..=max).starting_at(initial))
        });
        model = retry.into_iter().fold(model, |model, (most, base, max)| model.max_attempts(most).backoff(base..=max));
        model = budget.into_iter().fold(model, ModelConfig::retry_budget);
        model = timeout.into_iter().fold(model, ModelConfig::timeout);
        healthy.into_iter().fold(model, ModelConfig::healthy_latency)
    })
}

fn tiers() -> impl Strategy<Value = TierConfig> {
    let class = prop_oneof![Just(Class::Interactive), Just(Class::Standard), Just(Class::Batch)];
    (maybe(0.001..1_000.0f64), maybe(class), maybe(1..99u32), maybe(1..999u32)).prop_map(
        |(weight, class, most, queued)| {
            let mut tier = weight.into_iter().fold(TierConfig::new(), TierConfig::weight);
            tier = class.into_iter().fold(tier, TierConfig::class);
            tier = most.into_iter().fold(tier, TierConfig::max_in_flight);
            queued.into_iter().fold(tier, TierConfig::max_queued)
        },
    )
}

fn tenants() -> impl Strategy<Value = TenantConfig> {
    let keys = prop::collection::vec(any::<[u8; 32]>(), 0..3);
    (maybe(names()), keys, map(names(), 0..99u32, 0..3)).prop_map(|(tier, keys, reserve)| {
        let mut tenant = tier.into_iter().fold(TenantConfig::new(), TenantConfig::tier);
        tenant = keys.into_iter().map(KeyHash).fold(tenant, TenantConfig::api_key);
        reserve.into_iter().fold(tenant, |tenant, (model, slots)| tenant.reserve(model, slots))
    })
}

fn configs() -> impl Strategy<Value = Config> {
    let tables = (map(names(), providers(), 0..3), map(names(), models(), 0..3), map(names(), tiers(), 0..3));
    let server = (any::<u16>(), any::<bool>(), 1..usize::MAX / 2, spans());
    (tables, map(names(), tenants(), 0..3), models(), server, maybe(names())).prop_map(
        |((providers, models, tiers), tenants, defaults, (port, keys, size, drain), tier)| {
            let mut config = Config::new();
            (config.providers, config.models, config.tiers, config.tenants) = (providers, models, tiers, tenants);
            config.server.listen.set_port(port);
            config.server.auth = if keys { AuthMode::Keys } else { AuthMode::Open };
            (config.server.max_body, config.server.drain_timeout) = (Size(size), Span(drain));
            let ModelConfig { queue, window, retry, timeout, healthy_latency, .. } = defaults;
            let into = &mut config.defaults;
            (into.queue, into.window, into.retry, into.tier) = (queue, window, retry, tier);
            (into.timeout, into.healthy_latency) = (timeout, healthy_latency);
            config
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_is_read_as_the_same(config in configs()) {
        let toml = config.to_toml();
        let again = Config::from_toml(&toml).map_err(|error| TestCaseError::fail(format!("{error}\n{toml}")))?;
        prop_assert_eq!(&again, &config, "{}", toml);
        prop_assert_eq!(again.to_toml(), toml);
    }
}

#[test]
fn a_key_is_never_written_and_its_absence_is_noticed() {
    let key = KeySource::Value("sk-secret".into());
    let config = Config::new().provider("lab", ProviderConfig::openai("http://localhost/v1").api_key(key));
    let toml = config.to_toml();
    assert!(!toml.contains("sk-secret") && config.validate().is_ok());
    let error = Config::from_toml(&toml).unwrap().validate().unwrap_err().to_string();
    assert!(error.contains("providers.\"lab\".api_key") && error.contains("left out"), "{error}");
}
