//! Names that administrators give: groups of accounts, indicators of tokens.

use super::{AdminError, Setting};

/// What a setting makes of a list of names; the new names replace all old ones.
pub(super) fn apply_names(
    field: &'static str,
    names: &mut Vec<String>,
    setting: Option<Setting<Vec<String>>>,
) -> Result<(), AdminError> {
    match setting {
        None => {}
        Some(Setting::Clear) => names.clear(),
        Some(Setting::To(new)) => *names = check_names(field, new)?,
    }
    Ok(())
}

/// The names, each of them once.
pub(super) fn check_names(
    field: &'static str,
    names: Vec<String>,
) -> Result<Vec<String>, AdminError> {
    let mut checked: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        // A comma is what parts them where they are shown.
        let wrong = name.trim() != name || name.contains(|c: char| c == ',' || c.is_control());
        if name.is_empty() || name.len() > MAX_LENGTH || wrong {
            let cause =
                "a name has 1 to 64 octets, no comma, no control characters, no blank at its ends";
            return Err(AdminError::field(field, &name, cause));
        }
        if !checked.contains(&name) {
            checked.push(name);
        }
    }
    Ok(checked)
}

const MAX_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", " ", " a", "a ", "a,b", "a\nb", &"x".repeat(65), "a\u{9b}"] {
            let refusal = check_names("group", vec!["good".into(), name.into()]).unwrap_err();
            assert!(refusal.to_string().starts_with("group "), "{name:?}: {refusal}");
        }
        let names = ["admins", "VPN users", "münchen", &"x".repeat(64)].map(str::to_owned);
        assert_eq!(check_names("group", names.to_vec()).unwrap(), names);
    }

    #[test]
    fn each_name_counts_once() {
        let names = ["a", "b", "a"].map(str::to_owned).to_vec();
        assert_eq!(check_names("group", names).unwrap(), ["a", "b"]);
    }

    #[test]
    fn new_names_replace_the_old_ones() {
        let mut names = vec!["a".to_owned()];
        apply_names("group", &mut names, None).unwrap();
        assert_eq!(names, ["a"]);
        apply_names("group", &mut names, Some(Setting::To(vec!["b".into()]))).unwrap();
        assert_eq!(names, ["b"]);
        apply_names("group", &mut names, Some(Setting::Clear)).unwrap();
        assert!(names.is_empty());
    }
}
