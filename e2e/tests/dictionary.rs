//! Attributes by name: FreeRADIUS' dictionaries are read, and radclient, which has the
//! same, finds in our replies what the rules say.

use std::fs;

use crate::support::{
    countersign::{RADIUS_SECRET, Site},
    oath::OathToken,
    radclient::{Answer, MESSAGE_AUTHENTICATOR, ask},
};

#[test]
fn every_dictionary_of_freeradius_is_read_or_refused_with_its_line() {
    let site = Site::new();
    let files = fs::read_dir(FREERADIUS).expect("freeradius-common is installed");
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let mut refused = Vec::new();
    for file in &files {
        let file = file.to_str().unwrap();
        site.configure_with(&format!("radius.dictionary = ['{file}']"));
        let ran = site.run(["check", "--quiet"]);
        if ran.status.code() == Some(UNREADABLE) {
            let at = format!("radius.dictionary: {file}:");
            let (_, line) = ran.stderr.split_once(&at).unwrap_or_else(|| panic!("{at}\n{ran}"));
            let line = line.split_once(": ").and_then(|(line, _)| line.parse::<u32>().ok());
            assert!(line.is_some(), "{ran}");
            refused.push(file.trim_start_matches(FREERADIUS).to_owned());
        }
    }
    assert!(files.len() > 200, "{files:?}");
    // It needs the vendor of another file, and says so.
    assert_eq!(refused, ["/dictionary.freeradius.evs5"]);
}

#[test]
fn radclient_finds_every_attribute_of_the_built_in_dictionary() {
    let site = Site::new();
    let attributes = built_in();
    let batches: Vec<_> = attributes.chunks(40).collect();
    for (index, batch) in batches.iter().enumerate() {
        let rules: Vec<_> = batch.iter().map(Attribute::rule).collect();
        add_client(&site, index, &rules.join(", "));
    }
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    for (index, batch) in batches.iter().enumerate() {
        let printed = accepted(&site, &token, index);
        let mut lines = printed.lines().map(str::trim);
        for attribute in *batch {
            let expected = attribute.expected(&attributes);
            assert!(
                lines.any(|line| expected.iter().any(|expected| expected == line)),
                "none of {expected:?}, or not in order:\n{printed}"
            );
        }
    }
}

/// Makers have their own heads of vendor attributes; each in a dictionary that is read.
#[test]
fn radclient_reads_the_formats_of_all_makers() {
    let site = Site::new();
    site.configure_with(&format!("radius.dictionary = ['{FREERADIUS}/dictionary']"));
    let rules = [
        // Two octets of type, one of length.
        ("Lucent-PPP-Circuit-Name", "text = 'left'", "\"left\""),
        ("Lucent-Max-Shared-Users", "value = 7", "7"),
        // Four of type, no length.
        ("USR-Channel", "value = 19", "19"),
        ("USR-Last-Number-Dialed-Out", "text = '555'", "\"555\""),
        // Two of each.
        ("SN-VPN-Name", "text = 'inner'", "\"inner\""),
        // One of each, and one more.
        ("WiMAX-GMT-Timezone-offset", "value = -3600", "-3600"),
    ];
    let written = rules.map(|(name, value, _)| format!("{{ attribute = '{name}', {value} }}"));
    add_client(&site, 0, &written.join(", "));
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let printed = accepted(&site, &token, 0);
    for (name, _, value) in rules {
        let line = format!("{name} = {value}");
        assert!(printed.lines().any(|found| found.trim() == line), "{line}\n{printed}");
    }
}

#[test]
fn rules_for_every_client_come_before_its_own_and_a_listener_may_be_named() {
    let site = Site::new();
    site.configure_with(
        "radius.reply = [{ attribute = 'Class', text = 'all' }, \
         { attribute = 'Class', text = 'far', listener = 'tls' }, \
         { attribute = 'Class', text = 'near', listener = 'udp' }]",
    );
    add_client(&site, 0, "{ attribute = 'class', value = 'own' }");
    let token = site.add_user("alice", "hotp");
    let _daemon = site.serve();
    let printed = accepted(&site, &token, 0);
    let classes: Vec<_> = printed.lines().filter_map(|line| line.split_once("Class = ")).collect();
    let classes: Vec<_> = classes.iter().map(|(_, value)| *value).collect();
    assert_eq!(classes, ["0x616c6c", "0x6e656172", "0x6f776e"], "all, near, own");
}

/// An attribute of the built-in dictionary.
struct Attribute {
    name: String,
    /// Its maker and number; other names may stand for the same.
    place: (String, String),
    has_tag: bool,
    /// A value by its type, as a rule has it and as radclient prints it.
    sample: (String, String),
    /// The names of its values, with their numbers.
    values: Vec<(String, String)>,
}

impl Attribute {
    fn rule(&self) -> String {
        let tag = if self.has_tag { ", tag = 5" } else { "" };
        let value = self.values.last().map_or(&self.sample.0, |(name, _)| name);
        format!("{{ attribute = '{}', value = '{value}'{tag} }}", self.name)
    }

    /// Of several names of an attribute, or of a value, radclient prints one.
    fn expected(&self, all: &[Self]) -> Vec<String> {
        let tag = if self.has_tag { ":5" } else { "" };
        let same: Vec<_> = all.iter().filter(|other| other.place == self.place).collect();
        let wanted = self.values.last().map(|(_, number)| number);
        let values = same.iter().flat_map(|other| &other.values);
        let names = values.filter(|(_, number)| Some(number) == wanted).map(|(name, _)| name);
        let printed: Vec<_> = match wanted {
            Some(_) => names.collect(),
            None => vec![&self.sample.1],
        };
        let lines = same.iter().flat_map(|other| {
            printed.iter().map(move |value| format!("{}{tag} = {value}", other.name))
        });
        lines.collect()
    }
}

/// Every attribute that may be sent.
fn built_in() -> Vec<Attribute> {
    let directory =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../countersign-core/src/wire/radius/dictionary");
    let read = |name| fs::read_to_string(format!("{directory}/{name}.dictionary")).unwrap();
    let text = read("standard") + &read("vendors");
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines: Vec<_> = lines.collect();
    let mut vendor = "";
    let mut attributes = Vec::new();
    for line in &lines {
        match line[..] {
            ["BEGIN-VENDOR", name] => vendor = name,
            ["END-VENDOR", _] => vendor = "",
            ["ATTRIBUTE", name, number, kind, ref flags @ ..] => {
                if flags.iter().any(|flag| flag.contains("encrypt")) || NOT_OURS.contains(&name) {
                    continue;
                }
                attributes.push(Attribute {
                    name: name.into(),
                    place: (vendor.into(), number.into()),
                    has_tag: flags.contains(&"has_tag"),
                    sample: sample(kind, name),
                    values: Vec::new(),
                });
            }
            ["VALUE", attribute, name, number] => {
                let last = attributes.last_mut().expect("values stand behind their attribute");
                assert_eq!(last.name, attribute);
                last.values.push((name.into(), number.into()));
            }
            _ => {}
        }
    }
    assert!(attributes.len() > 400);
    attributes
}
/// As a rule has it, and as radclient prints it.
fn sample(kind: &str, name: &str) -> (String, String) {
    let same = |text: &str| (text.to_owned(), text.to_owned());
    match kind {
        "string" => (format!("text of {name}"), format!("\"text of {name}\"")),
        "octets" => same("0xfeedbeef"),
        "octets[14]" => same("0x000102030405060708090a0b0c0d"),
        "integer" => same("77777"),
        "ipaddr" => same("192.0.2.254"),
        "ipv6addr" => same("2001:db8::1:2"),
        "ipv6prefix" => same("2001:db8:8000::/33"),
        "ifid" => same("1:2:3:ffff"),
        other => panic!("{other} is a type that this test does not know"),
    }
}

/// A client of its own, at an address of its own, with these rules.
fn add_client(site: &Site, index: usize, rules: &str) {
    let address = address(index);
    site.configure_with(&format!(
        "radius.client.batch{index} = {{ address = '{address}', secret = '{RADIUS_SECRET}', \
         reply = [{rules}] }}"
    ));
}

/// What radclient prints of the reply to a logon from the address of a client.
#[track_caller]
fn accepted(site: &Site, token: &OathToken, index: usize) -> String {
    let address = address(index);
    let more = format!("Packet-Src-IP-Address = {address}\n{MESSAGE_AUTHENTICATOR}");
    let otp = token.otp(index as u64);
    let (answer, ran) = ask(site.radius_port, RADIUS_SECRET, "alice", &otp, &more);
    assert_eq!(answer, Answer::Accept, "{ran}");
    ran.stdout.split("Received").nth(1).unwrap().to_owned()
}

fn address(index: usize) -> String {
    format!("127.0.1.{}", index + 1)
}

const FREERADIUS: &str = "/usr/share/freeradius";
/// The exit code for a config that cannot be used.
const UNREADABLE: i32 = 3;
const NOT_OURS: [&str; 6] = [
    "CHAP-Password",
    "State",
    "Proxy-State",
    "Vendor-Specific",
    "EAP-Message",
    "Message-Authenticator",
];
