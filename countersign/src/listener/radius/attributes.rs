//! Which attributes an Access-Accept carries, by who logged on and how.

use countersign_core::{domain::id::TokenId, wire::radius::dictionary::AttributeNumber};

use crate::config::reply::{Listener, ReplyRule, ReplyValue, Source};

/// What is known about an accepted logon.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// The way that the request came.
    pub(super) listener: Listener,
    /// The name of the account.
    pub(super) account: Option<&'a str>,
    /// The groups of the account.
    pub(super) groups: &'a [String],
    /// What administrators call the token.
    pub(super) token_label: Option<&'a str>,
    pub(super) token_id: Option<TokenId>,
    /// The strengths of the logon.
    pub(super) indicators: &'a [String],
}

/// The attributes of the rules that this logon meets, in the order of the rules. What is
/// not known is left out, what is too long is cut.
pub(super) fn attributes<'r>(
    rules: impl Iterator<Item = &'r ReplyRule>,
    facts: &Facts<'_>,
) -> Vec<(AttributeNumber, Vec<u8>)> {
    let rules = rules.filter(|rule| facts.meet(rule));
    rules.flat_map(|rule| values(rule, facts).into_iter().map(|value| pack(rule, value))).collect()
}

impl Facts<'_> {
    fn meet(&self, rule: &ReplyRule) -> bool {
        let is_in = |group: &String| {
            self.groups.iter().any(|one| one.to_lowercase() == group.to_lowercase())
        };
        rule.listener.is_none_or(|listener| listener == self.listener)
            && rule.group.as_ref().is_none_or(is_in)
    }
}

fn values(rule: &ReplyRule, facts: &Facts<'_>) -> Vec<Vec<u8>> {
    let source = match &rule.value {
        ReplyValue::Fixed(value) => return vec![value.clone()],
        ReplyValue::From(source) => source,
    };
    let texts = match source {
        Source::TokenLabel => facts.token_label.map(str::to_owned).into_iter().collect(),
        Source::TokenId => facts.token_id.map(|id| id.to_string()).into_iter().collect(),
        Source::Account => facts.account.map(str::to_owned).into_iter().collect(),
        Source::Indicators => facts.indicators.to_vec(),
    };
    let texts = texts.iter().filter(|text| !text.is_empty());
    texts.map(|text| tagged(rule, text)).collect()
}

/// As much of a text as there is room for, in whole characters.
fn tagged(rule: &ReplyRule, text: &str) -> Vec<u8> {
    let room = rule.room() - usize::from(rule.tag.is_some());
    let cut = &text[..text.floor_char_boundary(room)];
    rule.tag.into_iter().chain(cut.bytes()).collect()
}

fn pack(rule: &ReplyRule, value: Vec<u8>) -> (AttributeNumber, Vec<u8>) {
    match rule.vendor {
        Some(vendor) => {
            let packed = vendor.pack(rule.number, &value);
            let packed = packed.expect("values were checked with the config, or cut");
            (AttributeNumber::VENDOR_SPECIFIC, packed)
        }
        None => {
            let number = u8::try_from(rule.number);
            (AttributeNumber(number.expect("attributes of the standards have one octet")), value)
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::wire::radius::dictionary::vendor::{Format, Vendor};

    use super::*;

    const CISCO: Vendor = Vendor { id: 9, format: Format::USUAL };

    fn facts<'a>(groups: &'a [String], indicators: &'a [String]) -> Facts<'a> {
        Facts {
            listener: Listener::Udp,
            account: Some("alice"),
            groups,
            token_label: Some("Alice's phone"),
            token_id: Some(TokenId::from_bytes(*b"0123456789abcdef")),
            indicators,
        }
    }

    fn of(rules: &[ReplyRule], facts: &Facts<'_>) -> Vec<(u8, Vec<u8>)> {
        let attributes = attributes(rules.iter(), facts).into_iter();
        attributes.map(|(number, value)| (number.0, value)).collect()
    }

    fn from(number: u8, source: Source) -> ReplyRule {
        ReplyRule { value: ReplyValue::From(source), ..ReplyRule::fixed(number, Vec::new()) }
    }

    #[test]
    fn rules_of_one_attribute_all_go_out_in_order() {
        let rules = [
            ReplyRule::fixed(25, b"one".to_vec()),
            ReplyRule::fixed(11, b"filter".to_vec()),
            ReplyRule::fixed(25, b"two".to_vec()),
        ];
        let expected = [(25, b"one".to_vec()), (11, b"filter".to_vec()), (25, b"two".to_vec())];
        assert_eq!(of(&rules, &facts(&[], &[])), expected);
    }

    #[test]
    fn a_group_has_no_case_and_may_be_any_of_the_accounts() {
        let for_group = |group: &str| ReplyRule {
            group: Some(group.into()),
            ..ReplyRule::fixed(25, b"x".to_vec())
        };
        let groups = ["users".into(), "Überprüfer".into()];
        let facts = facts(&groups, &[]);
        for (group, meets) in
            [("Users", true), ("ÜBERPRÜFER", true), ("admins", false), ("", false)]
        {
            assert_eq!(of(&[for_group(group)], &facts).len() == 1, meets, "{group}");
        }
    }

    #[test]
    fn a_listener_has_rules_of_its_own() {
        let rule =
            ReplyRule { listener: Some(Listener::Tls), ..ReplyRule::fixed(25, b"x".to_vec()) };
        let udp = facts(&[], &[]);
        assert!(of(std::slice::from_ref(&rule), &udp).is_empty());
        assert_eq!(of(&[rule], &Facts { listener: Listener::Tls, ..udp }).len(), 1);
    }

    #[test]
    fn says_what_is_known_of_the_logon() {
        let indicators = ["otp".into(), "hardware".into()];
        let rules = [
            from(11, Source::TokenLabel),
            from(11, Source::TokenId),
            from(1, Source::Account),
            from(25, Source::Indicators),
        ];
        let expected = [
            (11, b"Alice's phone".to_vec()),
            (11, b"30313233-3435-3637-3839-616263646566".to_vec()),
            (1, b"alice".to_vec()),
            (25, b"otp".to_vec()),
            (25, b"hardware".to_vec()),
        ];
        assert_eq!(of(&rules, &facts(&[], &indicators)), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let rules = [
            from(11, Source::TokenLabel),
            from(11, Source::TokenId),
            from(1, Source::Account),
            from(25, Source::Indicators),
        ];
        let nothing =
            Facts { account: None, token_label: Some(""), token_id: None, ..facts(&[], &[]) };
        assert!(of(&rules, &nothing).is_empty());
    }

    #[test]
    fn attributes_of_a_maker_are_packed_into_vendor_specific() {
        let rule = ReplyRule {
            vendor: Some(CISCO),
            number: 1,
            ..ReplyRule::fixed(0, b"shell:priv-lvl=15".to_vec())
        };
        let expected = [&b"\0\0\0\x09\x01\x13"[..], b"shell:priv-lvl=15"].concat();
        assert_eq!(of(&[rule], &facts(&[], &[])), [(26, expected)]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let label = "é".repeat(200);
        let facts = Facts { token_label: Some(&label), ..facts(&[], &[]) };
        let plain = from(11, Source::TokenLabel);
        let vendors = ReplyRule { vendor: Some(CISCO), number: 1, ..plain.clone() };
        let tagged = ReplyRule { tag: Some(3), ..from(66, Source::TokenLabel) };
        let sent = of(&[plain, vendors, tagged], &facts);
        let texts: Vec<_> = [&sent[0].1[..], &sent[1].1[6..], &sent[2].1[1..]]
            .map(|octets| std::str::from_utf8(octets).unwrap().chars().count())
            .into();
        assert_eq!(texts, [126, 123, 126], "253, 247 and 252 octets");
        assert_eq!(sent[2].1[0], 3);
    }
}
