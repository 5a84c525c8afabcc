//! One conformance suite for the messages of every store.

mod accepting;
mod failing;
mod halves;
mod letters;
mod lists;
mod owning;
mod publishing;
mod racing;
mod removing;
mod samples;
mod settling;

/// Makes of each case a test for each store.
macro_rules! conformance {
    ($($subject:ident: $($case:ident)*;)*) => {
        mod memory {
            $($(#[tokio::test] async fn $case() {
                crate::store::place::memory(async |it| super::$subject::$case(it).await).await;
            })*)*
        }
        mod sqlite {
            $($(#[tokio::test] async fn $case() {
                crate::store::place::sqlite(async |it| super::$subject::$case(it).await).await;
            })*)*
        }
        mod postgresql {
            $($(#[tokio::test] async fn $case() {
                crate::store::place::postgres(async |it| super::$subject::$case(it).await).await;
            })*)*
        }
    };
}

conformance! {
    accepting:
        a_message_is_kept_as_it_was
        an_id_is_taken_once
        odd_texts_and_bytes_come_back
        a_full_batch_is_accepted
        kinds_may_be_mixed_and_ids_repeated
        everything_is_there_after_reopening;
    publishing:
        publishing_fans_out_once
        what_is_carried_and_what_is_handled_may_come_together
        a_wrong_owner_or_generation_changes_nothing
        failed_attempts_are_counted_and_wait
        a_claimed_message_cannot_be_taken_back
        a_cancelled_message_is_not_published
        the_outbox_is_by_time;
    settling:
        done_is_done
        retries_wait_and_keep_their_place
        dead_ones_are_kept_whole
        an_unknown_message_is_recorded
        keeping_makes_ready_once
        waiting_ones_are_found;
    halves:
        a_half_is_prepared_once_and_whole
        a_half_is_decided_once
        a_verdict_is_about_all_messages
        only_halves_are_decided
        checks_are_noted_until_it_is_stuck
        a_verdict_comes_with_its_check
        halves_are_listed_and_counted
        whoever_decides_owns_it;
    letters:
        it_is_resent_as_it_was
        it_is_resent_later
        an_edited_one_is_another_message
        it_is_given_up
        two_at_once_do_not_both_win;
    lists:
        messages_are_filtered
        pages_of_messages_meet
        deliveries_are_looked_up
        dead_letters_are_filtered;
    owning:
        subscriptions_come_change_and_go
        messages_of_the_gone_are_adopted
        a_group_belongs_to_one_that_lives;
    removing:
        only_what_is_over_is_removed
        removal_goes_on_past_what_stays;
    failing:
        a_batch_is_written_whole_or_not
        an_abandoned_write_leaves_nothing_half_done;
    racing:
        a_cancel_and_a_claim_do_not_both_win
        a_commit_and_a_rollback_do_not_both_win
        places_become_visible_in_their_order;
}
