/*
 * What the broker shows of itself and does not grow with its clients, line by line.
 */
#include "redlockd/wire/reply.h"

#include "unit/reply_fixture.h"

START_TEST(nodes_are_shown_with_what_is_known_of_them)
{
        struct reply reply = { .method = METHOD_NODES };

        status_now.nodes_n = 3;
        status_now.members = 7;
        nodes_now[0] = (struct inspect_node){ NODE_UP, "", "", 5, 0 };
        nodes_now[1] = (struct inspect_node){ NODE_DOWN, "refused", "", 0, 0 };
        nodes_now[2] = (struct inspect_node){ NODE_CONNECTING, "\xff!", "", 0, 0 };
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"nodes\":["
                            "{\"name\":\"a\",\"url\":\"redis://a:6379/"
                            "0\",\"state\":\"up\",\"reason\":\"\",\"votesAt\":null,\"rtt\":1,"
                            "\"redisVersion\":\"7.0.15\",\"runId\":\"f00\",\"errors\":5},"
                            "{\"name\":\"b\",\"url\":\"redis://b:6379/"
                            "0\",\"state\":\"down\",\"reason\":\"refused\",\"votesAt\":null,"
                            "\"rtt\":2,\"redisVersion\":null,\"runId\":null,\"errors\":0},"
                            "{\"name\":\"c\",\"url\":\"redis://c:6379/"
                            "0\",\"state\":\"connecting\",\"reason\":\"?!\",\"votesAt\":null,"
                            "\"rtt\":null,\"redisVersion\":null,\"runId\":null,\"errors\":0}]}}");
}
END_TEST

START_TEST(a_node_in_quarantine_is_shown_with_the_time_when_it_votes)
{
        struct reply reply = { .method = METHOD_CERTIFY, .node = 1, .certified = true };

        nodes_now[1] = (struct inspect_node){ NODE_QUARANTINED, "flushed", "", 0, 10250 * MS };
        check_reply(&reply,
                    "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"certified\":true,\"node\":"
                    "{\"name\":\"b\",\"url\":\"redis://b:6379/0\",\"state\":\"quarantined\",\"reason\":\"flushed\","
                    "\"votesAt\":1795350000250,\"rtt\":2,\"redisVersion\":null,\"runId\":null,\"errors\":0}}}");
        nodes_now[1] = (struct inspect_node){ NODE_UNFIT, "a replica", "", 0, 0 };
        reply.certified = false;
        check_reply(&reply, "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"certified\":false,\"node\":"
                            "{\"name\":\"b\",\"url\":\"redis://b:6379/0\",\"state\":\"unfit\",\"reason\":\"a replica\","
                            "\"votesAt\":null,\"rtt\":2,\"redisVersion\":null,\"runId\":null,\"errors\":0}}}");
}
END_TEST

START_TEST(status_has_every_number_of_the_contract)
{
        struct reply reply = { .method = METHOD_STATUS };

        status_now = (struct inspect_status){
                .members = 7,
                .nodes_n = 3,
                .nodes_up_n = 2,
                .nodes_quarantined_n = 7,
                .nodes_unfit_n = 8,
                .quorum = 2,
                .sessions_n = 4,
                .locks_n = 5,
                .waiters_n = 6,
                .draining = true,
                .counters = { 11, 12, 13, 14, 15, 16, 17, 18, 19 },
        };
        check_reply(&reply,
                    "{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"version\":\"0.1.0\",\"pid\":4321,\"uptime\":5999,"
                    "\"scope\":\"network\",\"nodes\":3,\"nodesUp\":2,\"nodesQuarantined\":7,\"nodesUnfit\":8,"
                    "\"quorum\":2,\"quorumOk\":true,\"sessions\":4,"
                    "\"locks\":5,"
                    "\"waiters\":6,\"restartQuarantine\":true,\"draining\":true,\"counters\":{\"requests\":11,"
                    "\"granted\":12,\"locked\":13,"
                    "\"noQuorum\":14,\"extended\":15,\"freed\":16,\"expired\":17,\"lost\":18,\"deadlocks\":0,"
                    "\"handovers\":0,\"tenures\":0,\"wakeups\":0,\"raises\":0,\"plants\":0,"
                    "\"disconnectReleases\":19,\"malformed\":99}}}");
}
END_TEST

START_TEST(a_quorum_that_is_not_up_is_not_ok)
{
        struct reply reply = { .method = METHOD_STATUS };
        struct buffer out = BUFFER_INIT(10000);

        status_now = (struct inspect_status){ .members = 7, .nodes_n = 3, .nodes_up_n = 1, .quorum = 2 };
        ck_assert_int_eq(reply_print(&out, &context, "1", &reply), 0);
        ck_assert_ptr_nonnull(memmem(buffer_data(&out), buffer_len(&out), "\"quorumOk\":false", 16));
        buffer_deinit(&out);
}
END_TEST

START_TEST(without_memory_a_view_leaves_nothing)
{
        static const enum method methods[] = { METHOD_STATUS, METHOD_NODES, METHOD_CERTIFY };

        status_now.nodes_n = 3;
        status_now.members = 7;
        for (unsigned i = 0; i < 3; ++i)
                nodes_now[i] = (struct inspect_node){ NODE_DOWN, "bad \xff", "worse \xff", 1, 0 };
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); ++i) {
                struct reply reply = { .method = methods[i], .session = 3 };

                check_without_memory(&reply);
        }
}
END_TEST

UNIT_MAIN("views", nodes_are_shown_with_what_is_known_of_them,
          a_node_in_quarantine_is_shown_with_the_time_when_it_votes, status_has_every_number_of_the_contract,
          a_quorum_that_is_not_up_is_not_ok, without_memory_a_view_leaves_nothing)
