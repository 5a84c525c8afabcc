//! `TccService` over a real server, on each store.

mod acting;
mod deciding;
mod nesting;
mod refusing;
mod scene;

use crate::store::place;

/// Makes of each case a test for each store.
macro_rules! suite {
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

suite! {
    deciding:
        a_confirm_takes_what_every_branch_holds
        a_cancel_releases_whatever_may_be_held
        every_call_can_be_repeated
        what_is_not_confirmed_in_time_is_cancelled
        a_confirm_waits_for_tries_that_are_under_way
        of_confirm_and_cancel_at_once_one_counts
        it_goes_on_after_a_restart;
    acting:
        a_refusal_is_stuck_at_once_until_an_operator_retries
        a_refused_cancel_can_be_declared_done
        a_refused_confirm_can_be_ended_by_hand
        what_proves_nothing_is_stuck_after_its_budget_and_goes_on
        an_operator_cancels_and_everybody_can_watch;
    nesting:
        a_child_ends_as_its_parent_decides
        a_child_that_cancels_keeps_its_parent_from_confirming
        the_deadline_of_the_parent_counts_for_a_prepared_child
        three_generations_end_together
        who_cannot_be_a_parent;
    refusing:
        what_is_wrong_with_a_request
        what_is_taken_with_other_content
        nothing_is_registered_after_the_decision
        there_is_a_most_of_branches
        too_many_at_once;
}
