//! One conformance suite for every store: each case runs against memory, a
//! SQLite file and a PostgreSQL database of its own.

mod adopting;
mod appending;
mod definitions;
mod errors;
mod faults;
mod listing;
mod messages;
pub(crate) mod place;
mod postgres;
mod removing;
mod samples;

/// Makes of each case a test for each store.
macro_rules! conformance {
    ($($subject:ident: $($case:ident)*;)*) => {
        mod memory {
            $($(#[tokio::test] async fn $case() {
                super::place::memory(async |place| super::$subject::$case(place).await).await;
            })*)*
        }
        mod sqlite {
            $($(#[tokio::test] async fn $case() {
                super::place::sqlite(async |place| super::$subject::$case(place).await).await;
            })*)*
        }
        mod postgresql {
            $($(#[tokio::test] async fn $case() {
                super::place::postgres(async |place| super::$subject::$case(place).await).await;
            })*)*
        }
    };
}

conformance! {
    appending:
        new_and_next_records_are_loaded_in_order
        a_wrong_record_number_is_a_conflict
        a_wrong_generation_is_a_conflict
        an_id_is_given_once
        a_conflict_fails_its_item_only
        a_batch_may_be_repeated
        another_write_with_the_same_numbers_is_no_repetition
        a_write_that_others_followed_is_no_repetition
        a_summary_may_be_written_alone
        a_full_batch_is_written
        a_conflict_fails_its_item_only_in_a_large_batch
        a_batch_of_any_size_is_written
        an_empty_batch_is_fine
        odd_texts_come_back_as_they_were
        long_records_come_back_as_they_were
        everything_is_there_after_reopening;
    adopting:
        adoption_raises_the_generation_and_fences
        sleeping_ones_are_adopted_but_not_loaded
        adoption_goes_in_portions_to_the_end
        ended_ones_are_not_adopted
        due_ones_are_found_in_their_order
        parking_marks_and_fences;
    listing:
        every_filter_filters
        pages_meet_over_equal_times
        a_prefix_has_no_special_characters;
    removing:
        only_ended_ones_are_removed_oldest_first
        an_id_is_free_after_removal
        definitions_go_when_nothing_refers_to_them
        keeping_again_keeps_for_longer;
    definitions:
        registering_creates_once
        other_content_under_a_name_and_version_is_told
        a_kept_definition_can_be_registered
        keeping_does_not_register
        versions_are_found
        definitions_are_listed_in_pages
        participants_come_and_go;
}
