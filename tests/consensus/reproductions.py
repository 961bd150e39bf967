"""Every known way to hurt the bare library, and the pair of tests that shows it: `python -m …`.

`bare` tests pass when the library as shipped goes wrong, `titan` tests when Titan's member does not.
A name in quotes in `test_bare` is a story told of both, by the same code.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple


class Story(NamedTuple):
    """One reproduction."""

    name: str
    hazard: str
    bare: tuple[str, ...]
    titan: tuple[str, ...]


def _both(name: str, hazard: str, story: str) -> Story:
    both = f"test_bare::{story}"
    return Story(name, hazard, (both,), (both, "test_bare::test_the_story_does_not_hurt_titan"))


TABLE: Final = (
    _both("1 phantom commit", "H1", "phantom_answers"),
    Story("2 kill during a dump", "H25",
          ("test_bare::test_a_kill_during_the_dump_loses_what_was_acknowledged_meanwhile",),
          ("test_snapshot_stories::test_killing_everybody_around_a_snapshot_loses_nothing",)),
    Story("3a, 3b callbacks that raise", "H16",
          ("test_bare::test_a_callback_that_raises_makes_its_node_apply_the_entry_twice",
           "test_bare::test_a_future_that_its_caller_gave_up_is_enough_for_that"),
          ("test_regressions::test_a_caller_that_gave_up_disturbs_nothing",)),
    Story("3c, 3d methods that raise", "H15",
          ("test_bare::test_a_method_that_raises_stops_everybody_for_good",
           "test_bare::test_a_battery_raises_in_apply_too"),
          ("test_regressions::"
           "test_a_machine_that_raises_stops_the_member_instead_of_repeating_the_entry",)),
    _both("4, 4b truncation over a slow link", "H2", "lost_over_a_slow_link"),
    _both("4c truncation of a healthy log", "H2", "times_a_healthy_log_shrinks"),
    _both("4d repeated append", "H2", "lost_by_a_repeated_append"),
    _both("5 failed install acknowledged", "H6", "lost_by_an_install_that_failed"),
    _both("5b false match below the end", "H6", "commits_what_no_majority_has"),
    _both("6 contradictory resets", "H3", "is_stuck_with_a_conflicting_tail"),
    Story("7 changed bytes and ends of the journal", "H31",
          ("test_bare::test_a_changed_byte_of_the_journal_is_believed",
           "test_bare::test_a_wrong_end_makes_acknowledged_records_vanish",
           "test_bare::test_a_torn_end_keeps_the_journal_from_opening",
           "test_bare::test_a_lost_vote_file_means_that_the_vote_never_was"),
          ("test_journal::test_no_flipped_byte_is_ever_believed",)),
    Story("7 kill while trimming", "H26",
          ("test_bare::test_a_kill_while_trimming_keeps_only_a_part",),
          ("test_journal::test_trimming_unlinks_whole_segments_and_keeps_what_is_in_view",)),
    Story("7 full disk", "H33",
          ("test_bare::test_a_full_disk_kills_the_process_by_a_signal",),
          ("test_bare::test_a_full_disk_is_an_error_with_a_name_for_titan",
           "test_membership::test_a_leader_with_a_full_disk_hands_over_to_one_with_space")),
    Story("7 four gibibytes", "H34",
          ("test_bare::test_the_journal_ends_at_four_gibibytes",),
          ("test_journal::test_what_was_synced_is_read_back_across_segments",)),
    _both("8 stale acks", "H4", "lost_by_stale_acks"),
    Story("9 versions and numbers of methods", "H17, H18",
          ("test_bare::test_a_member_that_is_not_upgraded_applies_an_entry_twice",
           "test_bare::test_a_new_method_renumbers_the_others",
           "test_bare::test_a_dump_with_fewer_parts_leaves_half_a_state_that_leads"),
          ("test_guard::test_the_package_never_unpickles",
           "test_snapshot_stories::test_without_a_readable_snapshot_the_member_does_not_start")),
    Story("10 clients", "H21",
          ("test_bare::test_a_forwarded_command_that_is_lost_is_never_answered",
           "test_bare::test_a_client_that_retries_as_told_acts_twice",
           "test_bare::test_callbacks_below_an_installed_dump_are_never_called",
           "test_bare::test_a_command_runs_long_after_its_client_gave_up"),
          ("test_regressions::test_who_loses_leadership_says_unknown",)),
    Story("12 membership", "H13",
          ("test_bare::test_two_members_added_at_once_split_the_brain",),
          ("test_membership::test_two_changes_at_once_are_refused",)),
    Story("13a no dump file", "H30",
          ("test_bare::test_a_journal_without_a_dump_file_is_accepted_and_loses_everything",),
          ("test_journal::test_a_snapshot_older_than_the_logs_start_is_refused",)),
    Story("13b unreadable dump", "H28, H29",
          ("test_bare::test_a_member_with_an_unreadable_dump_is_empty_and_still_leads",
           "test_bare::test_some_flipped_bits_of_a_dump_pass_for_another_state"),
          ("test_snapshots::test_no_flipped_byte_is_ever_believed",
           "test_snapshot_stories::test_without_a_readable_snapshot_the_member_does_not_start")),
    Story("13c late dump", "H27",
          ("test_bare::test_a_late_dump_replaces_a_newer_one",),
          ("test_snapshot_stories::test_a_snapshot_that_finishes_late_does_not_replace_a_newer_one",)),
    _both("15a pause", "H10", "terms_after_a_pause"),
    _both("15b deaf leader", "H5", "seconds_a_deaf_leader_leads"),
    _both("15c two leaders", "H5", "two_leaders"),
    _both("15d deaf member", "H9", "terms_of_a_deaf_member"),
    _both("15e flapping member", "H9", "terms_of_a_flapping_member"),
    _both("15f repeated vote", "H7", "leads_by_repeated_vote"),
    Story("15g commit index ahead of the log", "H32",
          ("test_bare::test_a_stored_commit_index_ahead_of_the_log_answers_without_replication",),
          ("test_regressions::test_a_restarted_member_believes_no_commit_index_of_its_own",)),
    Story("19 entries in pieces", "H19",
          ("test_bare::test_entries_of_some_sizes_raise_in_the_receiver",
           "test_bare::test_a_lost_first_piece_raises_too"),
          ("test_codec::test_every_message_comes_back_as_it_was",)),
    Story("20 power", "H20",
          ("test_regressions::test_without_syncs_the_same_story_loses_writes",),
          ("test_regressions::test_an_ack_means_that_a_power_cut_of_everybody_changes_nothing",)),
)  # fmt: skip


def main() -> None:
    """Print the table."""
    for story in TABLE:
        sys.stdout.write(f"{story.name:42}{story.hazard:10}{', '.join(story.bare)}\n")
        sys.stdout.write(f"{'':52}{', '.join(story.titan)}\n")


if __name__ == "__main__":
    main()
