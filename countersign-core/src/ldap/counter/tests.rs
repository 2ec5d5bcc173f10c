//! Counters of entries, marks, and the modifications that move them.

use super::*;

fn entry() -> Entry {
    Entry::new("cn=t,cn=otp")
}

fn hotp(entry: &Entry) -> Position {
    Position::read(entry, Method::Hotp, HotpCounter::Next).unwrap()
}

fn totp(entry: &Entry) -> Position {
    Position::read(entry, Method::Totp, HotpCounter::Next).unwrap()
}

fn at(next: u64) -> TokenCounter {
    TokenCounter { next, ..TokenCounter::default() }
}

fn failed(failures: u32, last: u64) -> FailureCounter {
    FailureCounter { failures, last: UnixTime(last), receipt: Stamp::default() }
}

fn to(counter: TokenCounter) -> Wanted {
    Wanted { counter: Some(counter), ..Wanted::default() }
}

fn count(failures: FailureCounter) -> Wanted {
    Wanted { failures: Some(failures), ..Wanted::default() }
}

fn add(attribute: &str, value: &str) -> Modification {
    Modification::Add(attribute.into(), vec![value.into()])
}

fn delete(attribute: &str, value: &str) -> Modification {
    Modification::Delete(attribute.into(), vec![value.into()])
}

fn replace(attribute: &str, value: &str) -> Modification {
    Modification::Replace(attribute.into(), vec![value.into()])
}

#[test]
fn each_kind_says_in_its_own_way_what_comes_next() {
    let table = [
        (Method::Hotp, HotpCounter::Next, None, 0),
        (Method::Hotp, HotpCounter::Next, Some("0"), 0),
        (Method::Hotp, HotpCounter::Next, Some("7"), 7),
        (Method::Hotp, HotpCounter::Last, None, 0),
        (Method::Hotp, HotpCounter::Last, Some("-1"), 0),
        (Method::Hotp, HotpCounter::Last, Some("0"), 1),
        (Method::Hotp, HotpCounter::Last, Some("7"), 8),
        (Method::Totp, HotpCounter::Next, None, 0),
        (Method::Totp, HotpCounter::Next, Some("59850713"), 59_850_714),
        (Method::Totp, HotpCounter::Last, Some("59850713"), 59_850_714),
        (Method::Hotp, HotpCounter::Next, Some("18446744073709551615"), u64::MAX),
    ];
    for (method, meaning, value, next) in table {
        let entry = match value {
            Some(value) => entry().with(method.counter_attribute(), value),
            None => entry(),
        };
        let position = Position::read(&entry, method, meaning).unwrap();
        assert_eq!(position.counter(None), at(next), "{method:?} {meaning:?} {value:?}");
        assert_eq!(position.has_counter(), value.is_some());
    }
}

#[test]
fn a_counter_that_cannot_be_is_refused() {
    for value in ["-1", "18446744073709551616", "x", ""] {
        let entry = entry().with("oathHOTPCounter", value);
        let error = Position::read(&entry, Method::Hotp, HotpCounter::Next).unwrap_err();
        assert_eq!(error.attribute, "oathHOTPCounter", "{value}");
    }
    let entry = entry().with("oathFailureCount", "-2");
    assert!(Position::read(&entry, Method::Totp, HotpCounter::Next).is_err());
}

#[test]
fn a_mark_ahead_of_the_directory_wins_whole() {
    let position = hotp(&entry().with("oathHOTPCounter", "5"));
    let mark = TokenCounter { next: 9, resync: 3, receipt: Stamp(77), drift: 0 };
    assert_eq!(position.counter(Some(mark)), mark);
}

#[test]
fn a_mark_behind_the_directory_counts_for_nothing() {
    let position = hotp(&entry().with("oathHOTPCounter", "5"));
    let mark = TokenCounter { next: 4, resync: 3, receipt: Stamp(77), drift: 0 };
    assert_eq!(position.counter(Some(mark)), at(5));
}

#[test]
fn a_mark_beside_the_directory_has_what_the_schema_has_not() {
    let mark = TokenCounter { next: 6, drift: 4, resync: 3, receipt: Stamp(77) };
    let clock =
        totp(&entry().with("oathTOTPLastTimeStep", "5").with("oathTOTPTimeStepDrift", "-2"));
    assert_eq!(clock.counter(Some(mark)), TokenCounter { drift: -2, ..mark });
    let driftless = totp(&entry().with("oathTOTPLastTimeStep", "5"));
    assert_eq!(driftless.counter(Some(mark)), mark);
}

#[test]
fn a_counter_moves_only_from_the_octets_that_were_read() {
    let position = hotp(&entry().with("oathHOTPCounter", "007"));
    let expected = [delete("oathHOTPCounter", "007"), add("oathHOTPCounter", "9")];
    assert_eq!(position.modifications(&to(at(9))), expected);
    assert_eq!(position.moved(&to(at(9))), hotp(&entry().with("oathHOTPCounter", "9")));

    let last = entry().with("oathHOTPCounter", "6");
    let last = Position::read(&last, Method::Hotp, HotpCounter::Last).unwrap();
    let expected = [delete("oathHOTPCounter", "6"), add("oathHOTPCounter", "8")];
    assert_eq!(last.modifications(&to(at(9))), expected);
}

#[test]
fn a_first_time_step_is_added() {
    let position = totp(&entry());
    let counter = TokenCounter { drift: -1, ..at(100) };
    let expected = [add("oathTOTPLastTimeStep", "99"), replace("oathTOTPTimeStepDrift", "-1")];
    assert_eq!(position.modifications(&to(counter)), expected);
    assert_eq!(position.modifications(&to(at(100))), expected[..1]);
    assert_eq!(position.moved(&to(counter)).counter(None), counter);
}

#[test]
fn a_drift_that_went_away_is_written() {
    let entry = entry().with("oathTOTPLastTimeStep", "9").with("oathTOTPTimeStepDrift", "3");
    let expected = [
        delete("oathTOTPLastTimeStep", "9"),
        add("oathTOTPLastTimeStep", "11"),
        replace("oathTOTPTimeStepDrift", "0"),
    ];
    assert_eq!(totp(&entry).modifications(&to(at(12))), expected);
}

#[test]
fn what_the_schema_has_no_place_for_changes_nothing() {
    let position = hotp(&entry().with("oathHOTPCounter", "7"));
    let counter = TokenCounter { resync: 9, receipt: Stamp(1), ..at(7) };
    assert_eq!(position.modifications(&to(counter)), []);
    assert_eq!(position.moved(&to(counter)), position);
}

#[test]
fn failures_are_counted_from_what_was_read() {
    let fresh = hotp(&entry());
    let expected = [add("oathFailureCount", "1"), replace("oathLastFailure", "20261124115633Z")];
    let one = failed(1, 1_795_521_393);
    assert_eq!(fresh.modifications(&count(one)), expected);
    assert_eq!(fresh.moved(&count(one)).failures(None), one);

    let entry = entry().with("oathFailureCount", "3").with("oathLastFailure", "20261124115633Z");
    let position = hotp(&entry);
    assert_eq!(position.failures(None), failed(3, 1_795_521_393));
    let expected = [delete("oathFailureCount", "3"), add("oathFailureCount", "0")];
    assert_eq!(position.modifications(&count(FailureCounter::default())), expected);
    let cleared = position.moved(&count(FailureCounter::default()));
    assert_eq!(cleared.failures(None), FailureCounter::default());
}

#[test]
fn a_last_failure_without_a_count_is_history() {
    let entry = entry().with("oathFailureCount", "0").with("oathLastFailure", "20261124115633Z");
    assert_eq!(hotp(&entry).failures(None), FailureCounter::default());
    assert_eq!(hotp(&entry).modifications(&count(failed(0, 5))), []);
}

#[test]
fn the_receipt_of_the_last_failure_is_kept_as_long_as_it_is_the_last() {
    let entry = entry().with("oathFailureCount", "3").with("oathLastFailure", "20261124115633Z");
    let kept = FailureCounter { receipt: Stamp(5), ..failed(3, 1_795_521_393) };
    let position = hotp(&entry);
    assert_eq!(position.failures(Some(kept)), kept);
    for other in [failed(2, 1_795_521_393), failed(3, 1_795_521_392)] {
        let other = FailureCounter { receipt: Stamp(5), ..other };
        assert_eq!(position.failures(Some(other)), failed(3, 1_795_521_393));
    }
    assert_eq!(position.modifications(&count(kept)), []);
}

#[test]
fn everything_that_one_decision_wants_is_one_request() {
    let position = hotp(&entry().with("oathHOTPCounter", "7").with("oathFailureCount", "2"));
    let wanted = Wanted {
        counter: Some(at(8)),
        failures: Some(FailureCounter::default()),
        last_login: Some(UnixTime(1_795_521_393)),
    };
    let expected = [
        delete("oathHOTPCounter", "7"),
        add("oathHOTPCounter", "8"),
        delete("oathFailureCount", "2"),
        add("oathFailureCount", "0"),
        replace("oathLastLogin", "20261124115633Z"),
    ];
    assert_eq!(position.modifications(&wanted), expected);
}

#[test]
fn counter_and_failures_may_have_been_read_at_different_times() {
    let counter = hotp(&entry().with("oathHOTPCounter", "7").with("oathFailureCount", "2"));
    let failures = hotp(&entry().with("oathHOTPCounter", "6").with("oathFailureCount", "3"));
    let both = hotp(&entry().with("oathHOTPCounter", "7").with("oathFailureCount", "3"));
    assert_eq!(counter.with_failures_of(&failures), both);
}

#[test]
fn a_directory_that_was_put_back_is_brought_up_by_the_next_move() {
    let position = hotp(&entry().with("oathHOTPCounter", "5"));
    assert_eq!(position.counter(Some(at(9))), at(9));
    let expected = [delete("oathHOTPCounter", "5"), add("oathHOTPCounter", "10")];
    assert_eq!(position.modifications(&to(at(10))), expected);
}
