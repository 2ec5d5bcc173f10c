//! Second rounds by Access-Challenge: the next OTP, the PIN first, an OTP that a script
//! delivers; and whose State counts for whom.

use std::{fs, os::unix::fs::PermissionsExt};

use data_encoding::HEXLOWER;

use crate::support::{
    clock::{LIMIT, poll},
    countersign::{RADIUS_SECRET, Site},
    oath::OathToken,
    process::Ran,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask},
    radius::{Request, attribute, socket},
};

/// A site whose user `alice` has a HOTP token with a PIN.
fn site_with_pin(settings: &str) -> (Site, OathToken) {
    let site = Site::new();
    site.configure_with(settings);
    site.add_account("alice");
    let token = add_token_with_pin(&site, "alice");
    (site, token)
}

fn add_token_with_pin(site: &Site, account: &str) -> OathToken {
    let token = OathToken::usual(format!("{account:*<20}").as_bytes());
    let pin = site.write("pin", PIN);
    site.add_token(account, "hotp", &token, &["--pin-file", pin.to_str().unwrap()]);
    token
}

/// Asks with a State; what came back, and the State in it.
fn round(site: &Site, user: &str, passcode: &str, state: &str) -> (Answer, String, Ran) {
    round_from("127.0.0.1", site, user, passcode, state)
}

fn round_from(
    client: &str,
    site: &Site,
    user: &str,
    passcode: &str,
    state: &str,
) -> (Answer, String, Ran) {
    let mut more = format!("{MESSAGE_AUTHENTICATOR}\nPacket-Src-IP-Address = {client}");
    if !state.is_empty() {
        more = format!("{more}\nState = {state}");
    }
    let (answer, ran) = ask(site.radius_port, RADIUS_SECRET, user, passcode, &more);
    let reply = ran.stdout.split("Received").nth(1).unwrap_or_default();
    let state = reply.lines().find_map(|line| line.trim().strip_prefix("State = "));
    let state = state.unwrap_or_default().to_owned();
    assert_eq!(answer == Answer::Challenge, !state.is_empty(), "{ran}");
    (answer, state, ran)
}

/// A first round that must end in a challenge; the State.
#[track_caller]
fn challenged(site: &Site, user: &str, passcode: &str) -> String {
    let (answer, state, ran) = round(site, user, passcode, "");
    assert_eq!(answer, Answer::Challenge, "{ran}\n{}", site.audit_log());
    assert!(ran.stdout.contains("Reply-Message = "), "the user is told what is wanted:\n{ran}");
    state
}

#[test]
fn otp_out_of_step_is_challenged_for_the_one_after_it() {
    let site = Site::new();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let state = challenged(&site, "alice", &token.otp(40));
    assert_eq!(round(&site, "alice", "000000", &state).0, Answer::Reject);
    let state = challenged(&site, "alice", &token.otp(50));
    assert_eq!(round(&site, "alice", &token.otp(51), &state).0, Answer::Accept);
    for counter in [50, 51] {
        assert_eq!(site.logon("alice", &token.otp(counter)), Answer::Reject, "{counter} is spent");
    }
    assert_eq!(site.logon("alice", &token.otp(52)), Answer::Accept);
}

#[test]
fn next_otp_is_not_asked_for_where_the_config_says_so_or_nobody_could_answer() {
    for settings in
        ["policy.challenge.next-otp = false", "radius.client.e2e.never-challenge = true"]
    {
        let site = Site::new();
        site.configure_with(settings);
        let token = site.add_user("alice", "hotp");
        let _daemon = site.serve();
        assert_eq!(site.logon("alice", &token.otp(40)), Answer::Reject, "{settings}");
        assert_eq!(site.logon("alice", &token.otp(41)), Answer::Accept, "two in a row do it");
    }
}

#[test]
fn pin_alone_is_challenged_for_the_otp() {
    let (site, token) = site_with_pin("policy.challenge.pin-first = true");
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "8765"), Answer::Reject, "a wrong PIN");
    let state = challenged(&site, "alice", PIN);
    assert_eq!(round(&site, "alice", "000000", &state).0, Answer::Reject);
    let state = challenged(&site, "alice", PIN);
    assert_eq!(round(&site, "alice", &token.otp(0), &state).0, Answer::Accept);
    assert_eq!(round(&site, "alice", &token.otp(0), &state).0, Answer::Reject, "spent");
    let state = challenged(&site, "alice", PIN);
    assert_eq!(round(&site, "alice", &token.otp(0), &state).0, Answer::Reject, "still");
    let both = format!("{PIN}{}", token.otp(1));
    assert_eq!(site.logon("alice", &both), Answer::Accept, "both at once, as before");
    assert_eq!(site.logon("alice", &token.otp(2)), Answer::Reject, "an OTP without its PIN");
}

#[test]
fn pin_alone_is_refused_by_default_and_where_nobody_could_answer() {
    for settings in
        ["", "policy.challenge.pin-first = true\nradius.client.e2e.never-challenge = true"]
    {
        let (site, token) = site_with_pin(settings);
        let _daemon = site.serve();
        assert_eq!(site.logon("alice", PIN), Answer::Reject, "{settings}");
        assert_eq!(site.logon("alice", &format!("{PIN}{}", token.otp(0))), Answer::Accept);
    }
}

#[test]
fn state_counts_for_its_user_and_its_client_alone() {
    let (site, alice) = site_with_pin("policy.challenge.pin-first = true");
    site.configure_with(&format!(
        "radius.client.other = {{ address = '127.0.0.2', secret = '{RADIUS_SECRET}' }}"
    ));
    site.add_account("bob");
    let bob = add_token_with_pin(&site, "bob");
    let _daemon = site.serve();
    let state = challenged(&site, "alice", PIN);
    let of_bob = challenged(&site, "bob", PIN);
    let refused = |user: &str, otp: &str, state: &str, what: &str| {
        assert_eq!(round(&site, user, otp, state).0, Answer::Reject, "{what}");
    };
    refused("alice", &alice.otp(0), &of_bob, "the State of another user");
    refused("bob", &bob.otp(0), &state, "the State of another user");
    refused("alice", &alice.otp(1), "", "no State");
    refused("alice", &alice.otp(2), "0x00", "no State of ours");
    let mut changed = state.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == '0' { '1' } else { '0' });
    refused("alice", &alice.otp(3), &changed, "a State that was changed");
    let (answer, _, _) = round_from("127.0.0.2", &site, "alice", &alice.otp(4), &state);
    assert_eq!(answer, Answer::Reject, "the State of another client");
    assert_eq!(round(&site, "alice", &alice.otp(5), &state).0, Answer::Accept);
    assert_eq!(round(&site, "bob", &bob.otp(1), &of_bob).0, Answer::Accept);
}

/// The daemon keeps nothing between the rounds, so a State outlives it; but not its time.
#[test]
fn state_outlives_the_daemon_and_ends_with_its_validity() {
    let (site, token) = site_with_pin("policy.challenge = { pin-first = true, valid = '5m' }");
    let daemon = site.serve();
    let state = challenged(&site, "alice", PIN);
    daemon.stop();
    let daemon = site.serve_at("+6m");
    assert_eq!(round(&site, "alice", &token.otp(0), &state).0, Answer::Reject, "expired");
    daemon.stop();
    let _daemon = site.serve();
    assert_eq!(round(&site, "alice", &token.otp(1), &state).0, Answer::Accept);
}

/// The script has the address and the account in its environment, the OTP on standard input.
#[test]
fn otp_that_a_script_delivers_is_the_second_round() {
    let site = Site::new();
    let (inbox, environment) = (site.file("inbox"), site.file("environment"));
    let script = format!(
        "#!/bin/sh\nenv > {environment}\necho \"$@\" >> {environment}\ncat > {inbox}.part\n\
         mv {inbox}.part {inbox}\n",
        environment = environment.display(),
        inbox = inbox.display()
    );
    let script = site.write("send-otp", script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    site.configure_with(&format!("delivery.pager = {{ type = 'script', command = [{script:?}] }}"));
    for (name, to) in [("alice", "+49 30 1234"), ("bob", "+49 30 5678")] {
        site.add_account(name);
        let add = ["token", "add", name, "--type", "delivered", "--via", "pager", "--to", to];
        site.run(add).succeeded();
    }
    let _daemon = site.serve();
    assert_eq!(site.logon("alice", "123456"), Answer::Reject, "nothing was sent yet");
    let inbox = || {
        let otp = poll(LIMIT, || fs::read_to_string(&inbox).ok()).expect("the script was run");
        fs::remove_file(&inbox).unwrap();
        otp.trim().to_owned()
    };
    let state = challenged(&site, "alice", "otp");
    let first = inbox();
    let told = fs::read_to_string(&environment).unwrap();
    assert!(told.contains("+49 30 1234") && told.contains("alice"), "{told}");
    assert!(!told.contains(&first), "the OTP is no argument and in no environment:\n{told}");
    assert_eq!(round(&site, "alice", "000000", &state).0, Answer::Reject);
    assert_eq!(round(&site, "alice", &first, &state).0, Answer::Accept);
    assert_eq!(round(&site, "alice", &first, &state).0, Answer::Reject, "spent");
    // An empty passcode, which radclient leaves out.
    let request = Request::new(RADIUS_SECRET, "bob", "", 1);
    let reply = request.exchange(&socket(site.radius_port), LIMIT).expect("an answer");
    let state = attribute(&reply, 24).expect("a State");
    let state = format!("0x{}", HEXLOWER.encode(state));
    let second = inbox();
    assert_ne!(first, second);
    assert_eq!(round(&site, "bob", &first, &state).0, Answer::Reject);
    assert_eq!(round(&site, "bob", &second, &state).0, Answer::Accept);
    let log = fs::read_to_string(site.log_file()).unwrap() + &site.audit_log();
    assert!(!log.contains(&first) && !log.contains(&second), "an OTP was written down:\n{log}");
}

const PIN: &str = "1234";
