//! Reply attributes by client, group, listener and token, read by radclient with FreeRADIUS'
//! own dictionaries.

use crate::support::{
    countersign::{RADIUS_SECRET, Site},
    ports,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask_at},
};

/// The attributes of the Access-Accept, as radclient writes them.
fn accepted(server: &str, transport: &str, user: &str, otp: &str, more: &str) -> Vec<String> {
    let more = format!("{MESSAGE_AUTHENTICATOR}\n{more}");
    let (answer, ran) = ask_at(server, &["-P", transport], RADIUS_SECRET, user, otp, &more);
    assert_eq!(answer, Answer::Accept, "{ran}");
    let reply = ran.stdout.split("Received").nth(1).unwrap();
    reply.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn attributes_depend_on_client_group_listener_and_token() {
    let site = Site::new();
    let tcp_port = ports::free();
    let dictionary = "VENDOR Example 32473\nBEGIN-VENDOR Example\n\
                      ATTRIBUTE Example-Role 1 integer\nVALUE Example-Role Operator 5\n\
                      END-VENDOR Example\n";
    let dictionary = site.write("dictionary.example", dictionary);
    site.configure_with(&format!(
        "[radius]\nlisten-tcp = ['127.0.0.1:{tcp_port}']\ndictionary = [{dictionary:?}]\n\
         reply = [{{ attribute = 'Class', text = 'otp' }}]\n\
         [radius.client.other]\naddress = '127.0.0.2'\nsecret = '{RADIUS_SECRET}'\n\
         [radius.client.e2e]\nreply = [\n\
         {{ attribute = 'Cisco-AVPair', text = 'shell:priv-lvl=15', group = 'admins' }},\n\
         {{ attribute = 'Service-Type', value = 'Administrative-User', group = 'admins' }},\n\
         {{ attribute = 'Tunnel-Type', value = 'VLAN', tag = 1, listener = 'tcp' }},\n\
         {{ attribute = 'Example-Role', value = 'Operator' }},\n\
         {{ attribute = 'Filter-Id', from = 'token-label' }} ]"
    ));
    let [alice, bob] = ["alice", "bob"].map(|name| site.add_user(name, "hotp"));
    site.run(["account", "set", "alice", "--group", "admins"]).succeeded();
    let _daemon = site.serve();
    let udp = format!("127.0.0.1:{}", site.radius_port);
    let tcp = format!("127.0.0.1:{tcp_port}");
    let has = |attributes: &[String], wanted: &str| attributes.iter().any(|one| one == wanted);

    let of_admin = accepted(&udp, "udp", "alice", &alice.otp(0), "");
    for wanted in [
        "Class = 0x6f7470",
        "Cisco-AVPair = \"shell:priv-lvl=15\"",
        "Service-Type = Administrative-User",
        "Filter-Id = \"alice hotp\"",
    ] {
        assert!(has(&of_admin, wanted), "{wanted}: {of_admin:?}");
    }
    // radclient does not know that maker: 32473, type 1, the number 5.
    assert!(of_admin.iter().any(|one| one.contains("32473") && one.contains("0x00000005")));
    assert!(!of_admin.iter().any(|one| one.starts_with("Tunnel-Type")), "{of_admin:?}");

    let of_other = accepted(&tcp, "tcp", "bob", &bob.otp(0), "");
    assert!(has(&of_other, "Tunnel-Type:1 = VLAN"), "{of_other:?}");
    assert!(has(&of_other, "Filter-Id = \"bob hotp\""), "{of_other:?}");
    let privileged = |one: &String| one.starts_with("Cisco") || one.starts_with("Service-Type");
    assert!(!of_other.iter().any(privileged), "bob is no administrator: {of_other:?}");

    let from_other = "Packet-Src-IP-Address = 127.0.0.2";
    let elsewhere = accepted(&udp, "udp", "alice", &alice.otp(1), from_other);
    assert!(has(&elsewhere, "Class = 0x6f7470"), "every client: {elsewhere:?}");
    assert!(!elsewhere.iter().any(privileged), "another client: {elsewhere:?}");
}
