//! The contract of every store: the same tests for each implementation.
//!
//! That of a directory is held to it where the directory is: `e2e/tests/ldap_store.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use countersign::store::{embedded::Embedded, memory::Memory};

#[path = "support/contract.rs"]
mod contract;

/// The whole contract.
macro_rules! whole_contract {
    ($name:ident, $open:expr) => {
        contract::hold_to_contract!($name, $open;
            finds_an_account_by_each_of_its_names,
            refuses_a_taken_name_and_changes_nothing,
            refuses_an_account_or_token_twice,
            frees_the_names_that_an_account_had,
            says_what_is_not_there,
            replaces_an_account_only_as_it_was_read,
            replaces_a_token_only_as_it_was_read,
            lets_one_of_16_replace_what_all_have_read,
            removes_an_account_with_its_names_and_assignments,
            keeps_persons,
            gives_tokens_in_order_with_their_secrets,
            replaces_a_token_but_not_its_secret_or_counter,
            moves_a_counter_only_from_its_value,
            moves_all_counters_or_none,
            moves_no_counter_that_is_not_there,
            does_nothing_when_there_is_nothing_to_do,
            accepts_one_of_64_equal_moves,
            loses_no_move_of_many_at_once,
            goes_on_where_a_removed_token_stopped,
            lists_accounts_and_tokens_page_by_page,
            keeps_certificates_until_they_are_pruned,
            takes_one_certificate_of_an_account_per_request,
            takes_one_of_32_certificates_for_the_same_request,
            never_gives_a_number_twice,
            is_healthy_as_long_as_counters_move,
        );
    };
}

whole_contract!(memory, (Memory::new(), ()));
whole_contract!(embedded, {
    let directory = tempfile::tempdir().unwrap();
    (Embedded::create(directory.path(), "key").unwrap(), directory)
});
