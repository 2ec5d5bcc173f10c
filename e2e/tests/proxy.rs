//! Requests that are sent on: by realm and by client, with FreeRADIUS as the other server.

use crate::support::{
    countersign::{RADIUS_SECRET, Site},
    freeradius::{FreeRadius, Role, SECRET},
    process::Ran,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask},
};

/// A site with the realms `partner.example`, which is stripped, and `whole.example`, which is
/// not; and a client 127.0.0.2 all of whose requests are sent on.
fn site() -> (Site, FreeRadius) {
    let site = Site::new();
    let partner = FreeRadius::start(&site.file("partner"), Role::OtpServer { signs: true });
    site.configure_with(&format!(
        "upstream.partner = {{ servers = ['{}'], secret = '{SECRET}' }}\n\
         [radius.realm.'partner.example']\nupstream = 'partner'\nstrip-realm = true\n\
         [radius.realm.'whole.example']\nupstream = 'partner'\n\
         [radius.client.guests]\naddress = '127.0.0.2'\nsecret = '{RADIUS_SECRET}'\n\
         upstream = 'partner'",
        partner.address()
    ));
    (site, partner)
}

fn log_on(site: &Site, client: &str, user: &str, passcode: &str, more: &str) -> (Answer, Ran) {
    let more = format!("{MESSAGE_AUTHENTICATOR}\nPacket-Src-IP-Address = {client}\n{more}");
    ask(site.radius_port, RADIUS_SECRET, user, passcode, &more)
}

#[test]
fn realm_leads_to_the_server_that_knows_its_users() {
    let (site, partner) = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let answer = |user: &str, passcode: &str| log_on(&site, "127.0.0.1", user, passcode, "").0;
    assert_eq!(answer("alice@partner.example", "123456"), Answer::Accept);
    assert_eq!(answer("alice@PARTNER.example", "123456"), Answer::Accept, "whatever the case");
    assert_eq!(answer("alice@partner.example", "123457"), Answer::Reject);
    assert_eq!(answer("alice@partner.example", &token.otp(0)), Answer::Reject, "not ours");
    assert_eq!(answer("alice@whole.example", "123456"), Answer::Reject, "no user of that name");
    assert!(partner.log().contains("alice@whole.example"), "{}", partner.log());
    assert!(!partner.log().contains("partner.example"), "{}", partner.log());
    // Everybody else is ours.
    assert_eq!(answer("alice@other.example", "123456"), Answer::Reject);
    assert_eq!(answer("alice@corp.example", &token.otp(0)), Answer::Accept);
    assert_eq!(answer("alice", &token.otp(1)), Answer::Accept);
    for name in ["other.example", "corp.example"] {
        assert!(!partner.log().contains(name), "{name} was sent on:\n{}", partner.log());
    }
}

#[test]
fn client_may_have_all_of_its_requests_sent_on() {
    let (site, partner) = site();
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let guest = |passcode: &str| log_on(&site, "127.0.0.2", "alice", passcode, "").0;
    assert_eq!(guest("123456"), Answer::Accept);
    assert_eq!(guest(&token.otp(0)), Answer::Reject, "it is not asked here");
    assert_eq!(site.logon("alice", "123456"), Answer::Reject, "another client");
    assert_eq!(site.logon("alice", &token.otp(0)), Answer::Accept, "and nothing was spent");
    assert_eq!(partner.log().matches("[alice").count(), 2, "{}", partner.log());
}

/// The State of the other server comes back to it, also through an account that it decides for.
#[test]
fn challenge_is_carried_both_ways() {
    let (site, _partner) = site();
    site.run(["account", "add", "challenged", "--upstream", "partner"]).succeeded();
    let _daemon = site.serve();
    for (client, user) in [
        ("127.0.0.1", "challenged@partner.example"),
        ("127.0.0.2", "challenged"),
        ("127.0.0.1", "challenged"),
    ] {
        let (answer, ran) = log_on(&site, client, user, "1", "Proxy-State = 0xfeed");
        assert_eq!(answer, Answer::Challenge, "{user}: {ran}");
        let reply = ran.stdout.split("Received").nth(1).unwrap();
        assert!(reply.contains("Reply-Message = \"the next code\""), "{reply}");
        assert_eq!(reply.matches("Proxy-State = 0xfeed").count(), 1, "{reply}");
        let state = reply.lines().find_map(|line| line.trim().strip_prefix("State = ")).unwrap();
        let state = format!("State = {state}");
        assert_eq!(log_on(&site, client, user, "2", "").0, Answer::Challenge, "without it");
        assert_eq!(log_on(&site, client, user, "2", &state).0, Answer::Accept, "{user}");
    }
}
