use std::time::Duration;

use super::*;
use crate::core::verdict::{Scope, Suspicion};

const NOW: Time = Time::from_millis(1);

fn account(max_in_flight: u32) -> Account {
    let mut account = Account::new(AccountConfig { max_in_flight: Some(max_in_flight), ..Default::default() }, NOW);
    [1, 2].into_iter().for_each(|member| account.handle(Input::Join(member), NOW));
    account
}

fn outputs(account: &mut Account) -> Vec<Output> {
    std::iter::from_fn(|| account.poll_output()).collect()
}

fn claim(account: &mut Account, member: Member, slots: u32, jobs: usize) -> Vec<Output> {
    account.handle(Input::Claim(Claim { member, slots, tokens: vec![1.0; jobs] }), NOW);
    outputs(account)
}

fn signal(account: &mut Account, now: Time, signal: Signal) -> Vec<Output> {
    account.handle(Input::Signal(signal), now);
    outputs(account)
}

fn limited(member: Member, scope: Scope, stated: Option<Duration>) -> Signal {
    let limited = Some(Limited { sent: NOW, stated, scope, suspension: None });
    Signal { limited, ..Signal::slots(member, 0) }
}

#[test]
fn a_ceiling_is_shared_and_the_longest_waiting_is_told_first() {
    let mut account = account(3);
    assert_eq!(claim(&mut account, 1, 0, 2), [Output::Allowed { to: 1, jobs: 2 }]);
    assert_eq!(claim(&mut account, 2, 0, 2), [Output::Allowed { to: 2, jobs: 1 }]);
    assert_eq!(claim(&mut account, 1, 2, 1), [Output::Allowed { to: 1, jobs: 0 }]);
    assert_eq!(account.poll_timeout(), None, "an end makes room, not time");
    assert_eq!(signal(&mut account, NOW, Signal::slots(1, 1)), [Output::Reopen { to: 2 }], "one place, one route");
    assert_eq!(claim(&mut account, 2, 1, 1), [Output::Allowed { to: 2, jobs: 1 }]);
    assert_eq!(signal(&mut account, NOW, Signal::slots(2, 0)), [Output::Reopen { to: 1 }]);
}

#[test]
fn a_route_that_leaves_frees_its_slots() {
    let mut account = account(1);
    assert_eq!(claim(&mut account, 1, 0, 1), [Output::Allowed { to: 1, jobs: 1 }]);
    assert_eq!(claim(&mut account, 2, 0, 1), [Output::Allowed { to: 2, jobs: 0 }]);
    account.handle(Input::Leave(1), NOW);
    assert_eq!(outputs(&mut account), [Output::Reopen { to: 2 }]);
    assert_eq!(claim(&mut account, 1, 0, 1), [], "an unknown route is not answered");
}

#[test]
fn a_stated_wait_of_the_account_holds_all_routes_until_it_is_over() {
    let mut account = account(9);
    let stated = Duration::from_secs(7);
    let until = NOW + stated;
    let holds = [1, 2].map(|to| Output::Hold { to, until, suspension: None });
    assert_eq!(signal(&mut account, NOW, limited(1, Scope::Account, Some(stated))), holds);
    assert_eq!(claim(&mut account, 2, 0, 1), [Output::Allowed { to: 2, jobs: 0 }]);
    assert_eq!(account.poll_timeout(), Some((until, Reason::Hold)));
    account.handle(Input::Join(3), NOW);
    assert_eq!(outputs(&mut account), [Output::Hold { to: 3, until, suspension: None }], "late comers are told");
    account.handle(Input::Timeout, until);
    assert_eq!(outputs(&mut account), [Output::Reopen { to: 2 }]);
    account.handle(Input::Join(4), until);
    assert_eq!(outputs(&mut account), [], "it is over");
    let own = signal(&mut account, until, limited(1, Scope::Model, Some(stated)));
    assert_eq!(own, [], "a wait that one model was told is that model's");
}

#[test]
fn two_routes_limited_at_once_hold_the_account_unless_something_succeeded() {
    let mut account = account(9);
    assert_eq!(signal(&mut account, NOW, limited(1, Scope::Model, None)), []);
    account.succeeded(NOW + Duration::from_millis(1));
    assert_eq!(signal(&mut account, NOW + Duration::from_millis(2), limited(2, Scope::Model, None)), []);
    let held = signal(&mut account, NOW + Duration::from_millis(3), limited(1, Scope::Model, None));
    assert_eq!(held.len(), 2, "{held:?}");
}

#[test]
fn what_is_suspected_needs_a_second_witness_and_an_operator_lifts_it() {
    let mut account = account(9);
    let suspect = |tenant| {
        let suspicion = Some(Suspicion { tenant, model: 1, words: 7 });
        Signal { suspicion, ..Signal::slots(1, 0) }
    };
    assert_eq!(signal(&mut account, NOW, suspect(1)), []);
    let held = signal(&mut account, NOW, suspect(2));
    assert!(matches!(held[..], [Output::Confirmed, Output::Hold { suspension: Some(_), .. }, Output::Hold { .. }]));
    account.handle(Input::Lift, NOW);
    assert_eq!(outputs(&mut account), [Output::Lift { to: 1 }, Output::Lift { to: 2 }]);
    assert_eq!(claim(&mut account, 1, 0, 1), [Output::Allowed { to: 1, jobs: 1 }]);
}

#[test]
fn a_claim_that_was_not_used_is_given_back() {
    let rates = Rates { requests_per_minute: Some(1.0), ..Rates::default() };
    let mut account = Account::new(AccountConfig { rates, ..Default::default() }, NOW);
    account.handle(Input::Join(1), NOW);
    assert_eq!(claim(&mut account, 1, 0, 2), [Output::Allowed { to: 1, jobs: 1 }]);
    assert!(matches!(account.poll_timeout(), Some((at, Reason::Pacer)) if at > NOW));
    let unused = Signal { unused: Some(1.0), ..Signal::slots(1, 0) };
    assert_eq!(signal(&mut account, NOW, unused), [Output::Reopen { to: 1 }]);
}
