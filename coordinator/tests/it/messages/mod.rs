//! Publishing and delivering: one suite, run over each store as the broker, and over RabbitMQ.

mod alarming;
mod commanding;
mod consuming;
mod dying;
mod freezing;
mod halves;
mod ordering;
mod place;
mod publishing;
mod timing;
mod volume;
mod world;

use halves::{checking as half_checks, deciding as half_verdicts};

/// As many as usual, or as in production where `AMENDS_TEST_FULL_SIZE` asks for that.
fn sized(usual: usize, full: usize) -> usize {
    match std::env::var_os("AMENDS_TEST_FULL_SIZE") {
        Some(_) => full,
        None => usual,
    }
}

/// Makes of each case a test for each store, and of those `everywhere` also one for RabbitMQ.
macro_rules! suite {
    (
        everywhere { $($subject:ident: $($case:ident)*;)* }
        stores { $($stores:ident: $($store_case:ident)*;)* }
    ) => {
        mod memory {
            suite!(@memory $($subject: $($case)*;)* $($stores: $($store_case)*;)*);
        }
        mod sqlite {
            suite!(@sqlite $($subject: $($case)*;)* $($stores: $($store_case)*;)*);
        }
        mod postgresql {
            suite!(@postgres $($subject: $($case)*;)* $($stores: $($store_case)*;)*);
        }
        mod rabbitmq {
            suite!(@rabbitmq $($subject: $($case)*;)*);
        }
    };
    (@$place:ident $($subject:ident: $($case:ident)*;)*) => {
        $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $case() {
            super::place::$place(async |place| super::$subject::$case(place).await).await;
        })*)*
    };
}

suite! {
    everywhere {
        publishing:
            what_is_published_is_delivered_and_acknowledged
            a_batch_is_kept_whole_or_not_at_all
            an_id_is_published_once
            without_a_subscription_it_waits_for_one
            filters_and_groups_share_nothing
            a_message_that_waits_can_be_taken_back
            subscriptions_can_be_seen_and_ended;
        consuming:
            two_consumers_share_the_messages
            credit_bounds_what_a_consumer_has
            a_lease_that_ends_gives_the_message_to_another
            of_two_instances_with_one_message_one_counts
            a_sign_of_life_keeps_the_lease
            what_a_vanished_consumer_had_is_delivered_again
            every_instance_of_a_broadcast_gets_it_also_after_a_restart;
        commanding:
            a_service_that_reads_its_commands_is_told_and_reports
            a_service_that_reads_no_commands_is_called
            what_is_still_on_its_way_is_not_sent_again
            what_nobody_hears_of_is_sent_again_ever_more_rarely
            a_broadcast_is_one_message_for_all_its_calls
            a_service_that_does_not_read_a_broadcast_is_called;
        dying:
            a_failing_message_is_retried_by_the_schedule_and_then_dead
            what_fails_three_times_and_then_works_is_done
            an_explicit_verdict_is_dead_at_once
            a_restart_does_not_forget_attempts
            two_that_resend_at_once_deliver_it_once
            a_resent_filter_is_spread_over_time
            an_edited_letter_is_another_message
            giving_up_needs_a_reason_and_happens_once;
        timing:
            delays_arrive_in_the_order_of_time
            taken_back_or_delivered_but_not_both
            overdue_messages_come_after_a_restart;
        ordering:
            keys_keep_their_order_through_failures
            a_dead_message_lets_its_key_go_on
            keys_keep_their_order_over_consumers_that_come_and_go
            keys_keep_their_order_over_a_restart;
        volume:
            what_does_not_fit_into_memory_is_read_from_the_store
            many_timers_at_once;
        half_checks:
            a_silent_producer_is_asked
            without_a_verdict_it_is_stuck_and_stays
            what_nobody_knows_is_discarded_where_that_is_configured
            no_producer_for_an_hour_costs_no_check
            a_late_first_check_has_all_its_attempts
            a_restart_forgets_no_check
            a_slow_group_delays_nobody;
        half_verdicts:
            of_two_verdicts_at_once_one_stands
            delays_begin_and_order_holds_with_the_commit;
    }
    stores {
        half_verdicts:
            a_verdict_is_visible_or_not_given
            nothing_grows_when_all_has_ended;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_holds_up_nobody() {
    place::rabbitmq(async |place| volume::a_broker_that_is_away_holds_up_nobody(place).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_holds_up_nobody() {
    place::own_rabbitmq(async |place, node| {
        alarming::a_broker_short_of_memory_holds_up_nobody(place, node).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_is_due_together_is_carried_before_its_time() {
    place::rabbitmq(async |place| timing::a_crowd_is_carried_before_its_time(place).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_keep_their_order_over_cut_connections() {
    place::rabbitmq(async |place| {
        ordering::keys_keep_their_order_over_cut_connections(place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_was_frozen_changes_nothing_when_it_wakes() {
    place::rabbitmq_and_postgres(async |place| freezing::of_two_relays(place).await).await;
}
