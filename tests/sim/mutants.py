#!/usr/bin/python3
"""Plants one fault at a time into the engine, or into the world around it, and counts the lives until the swarm sees it.

    tests/sim/mutants.py BUILD [NAME...]

BUILD holds the archives and the swarm's objects. Prints a row a mutant; exits with 1 if one survives RUNS_MAX lives, or if the
line that a mutant replaces is not there any more (then it is to be planted anew).
"""
import pathlib
import re
import shutil
import subprocess
import sys

RUNS_MAX = 100000
SEED = 1

# name: (file, the line as it is, the fault in its place)
MUTANTS = {
    "quorum-minus-one": ("quorum.c", "return nodes_n / 2 + 1;", "return nodes_n / 2 + nodes_n % 2;"),
    "late-answer-counted": ("round.c", "                r->votes[node] = VOTE_TIMEOUT;\n                quorum_vote(&r->ballot, node, false);",
                            "                r->votes[node] = VOTE_TIMEOUT;\n                quorum_vote(&r->ballot, node, true);"),
    "no-node-timeout": ("round.c", "        heap_set(&e->deadlines, &r->timeout, e->now_ns + validity_node_timeout_ms(ttl_ms) * NS_PER_MS);",
                        "        heap_set(&e->deadlines, &r->timeout, e->now_ns + 3600000 * NS_PER_MS);"),
    "undo-forgotten": ("lease.c", "        release_lease(e, l);\n        listen_review", "        listen_review"),
    "undo-only-where-granted": ("round.c", "                        l->sent |= bit_of(node);", "                        ;"),
    "undo-not-repeated": ("release.c", "        if (l->sent)\n                release_list_later(e, l);", "        l->sent = 0;"),
    "undo-given-up-early": ("release.c", "if (e->now_ns >= l->gone_ns && l->refs == 0) {\n", "if (true) {\n"),
    "undo-forgets-late-acquires": ("release.c", "gone_ns > l->gone_ns)", "false)"),
    "undo-forgets-what-is-adrift": ("release.c", "l->sent &= l->adrift & ~e->nodes_closed;", "l->sent = 0;"),
    "undo-of-timed-out-nodes-forgotten": ("round.c", "                r->votes[node] = VOTE_TIMEOUT;\n",
                                          "                r->votes[node] = VOTE_TIMEOUT;\n                for (unsigned i = 0; i < r->acquire_n; ++i)\n                        r->items[i].lease->sent &= ~bit_of(node);\n"),
    "acquire-after-its-undo": ("round.c", "        if (r->kind != COMMAND_RELEASE && r->decided)\n                return false;", ""),
    "drift-left-out": ("validity.c", "return (uint64_t)(ttl_ms * drift_factor + 0.5) + 2;", "return 0;"),
    "clock-read-too-late": ("take_round.c", "validity_end_ns(r->started_ns, r->ttl_ms, e->options.drift_factor)",
                            "validity_end_ns(r->started_ns = e->now_ns, r->ttl_ms, e->options.drift_factor)"),
    "spent-validity-granted": ("take_round.c", "        } else if (take_left_ms(e, r, valid_until_ns) < 1) {", "        } else if (false) {"),
    "ttl-of-the-extension-believed": ("take_round.c", "        if (verdict == QUORUM_LOST) {\n                take_note_lost(e, r);",
                                      "        if (verdict == QUORUM_LOST && r->acquire_n > 0) {\n                take_note_lost(e, r);"),
    "dead-sessions-round-not-released": ("call.c", "        if (call_takes(c)) {\n                take_undo(e, c);",
                                         "        if (call_takes(c)) {\n                if (c->round) {\n                        c->round->call = NULL;\n                        c->round = NULL;\n                }\n                for (i = 0; i < c->claims_n; ++i) {\n                        if (c->claims[i].lock && c->claims[i].lock->state == LOCK_TAKING) {\n                                c->claims[i].lock->taking->sent = 0;\n                                lock_leave(e, c->claims[i].lock);\n                        }\n                }"),
    "dead-sessions-locks-kept": ("session.c", "        while ((l = TAILQ_FIRST(&s->held)))\n                lock_end(e, l);",
                                 "        while ((l = TAILQ_FIRST(&s->held))) {\n                lock_lease(l)->sent = 0;\n                lock_end(e, l);\n        }"),
    "queue-served-last-come": ("resource.c", "        return r->queue;\n", "        return r->queue ? r->queue->before : NULL;\n"),
    "queue-jumped": ("take.c", "(held || resource_head(r) != claim)", "(held || (resource_head(r) != claim && resource_head(r)->call->state == CALL_TRYING))"),
    "two-of-a-host-ask": ("take.c", "(held || resource_head(r) != claim)", "held"),
    "reply-twice": ("engine.c", "                e->popped_call = c;\n", "                e->popped_call = c;\n                if (c->reply.error == ERROR_LOCKED && c->items[0].outcome == OUTCOME_TAKEN && c->attempts == 3) {\n                        c->attempts = 0;\n                        e->popped_call = NULL;\n                        *ret_effect = (struct effect){ .kind = EFFECT_REPLY, .reply = c->reply };\n                        return true;\n                }\n"),
    "reply-forgotten": ("call.c", "        outgoing_link(e, &c->out, OUTGOING_CALL);", "        if (error != ERROR_LOST)\n                outgoing_link(e, &c->out, OUTGOING_CALL);\n        else\n                call_free(e, c);"),
    "token-reused-across-tries": ("token.c", "        e->options.random(e->options.random_userdata, ret_token->bytes, sizeof(ret_token->bytes));",
                                  "        memcpy(ret_token->bytes, &e->seed, sizeof(ret_token->bytes));"),
    "order-of-a-session-lost": ("call.c", "                        claim->earlier = last;\n                        last->later = claim;\n                        ++c->behind_n;", "                        ;"),
    "lapsed-lock-still-held": ("lock.c", "        if (l->state == LOCK_HELD) {\n                closed_until_ns = l->closed_until_ns;\n                lock_lapse(e, l, lock_lapse_reason(l));",
                               "        if (l->state == LOCK_HELD) {\n                if (e->now_ns < l->valid_until_ns + 30 * NS_PER_MS) {\n                        heap_set(&e->deadlines, &l->end, l->valid_until_ns + 30 * NS_PER_MS);\n                        return;\n                }\n                closed_until_ns = l->closed_until_ns;\n                lock_lapse(e, l, lock_lapse_reason(l));"),
    "key-open-while-held": ("lock.c", "        l->resource->holder = l;\n        session_link_held", "        session_link_held"),
    "overtaken-extension-granted": ("take_round.c", "        } else if (take_overtaken(e, c)) {\n                take_repeat(e, c);", ""),
    "deadlines-after-the-answer": ("engine.c", "        engine_pass_deadlines(e);\n        engine_on_event(e, ev);", "        engine_on_event(e, ev);\n        engine_pass_deadlines(e);"),
    "half-lock-kept": ("take_round.c", "static void take_fail_round(struct engine *e, struct call *c, enum error_name error)\n{",
                       "static void take_fail_round(struct engine *e, struct call *c, enum error_name error)\n{\n        for (size_t k = 0; k < c->claims_n; ++k)\n                if (c->claims[k].lock && c->claims[k].lock->state == LOCK_TAKING)\n                        c->claims[k].lock->taking->sent &= ~1u;"),
    "wait-without-end": ("take_budget.c", "        uint64_t at_ns = c->wake_ns;\n", "        uint64_t at_ns = c->wake_ns;\n\n        c->wait_end_ns = UINT64_MAX;\n"),
    "budget-without-end": ("take_budget.c", "return c->retry_count != RETRY_FOR_EVER && c->attempts > (uint64_t)c->retry_count;", "return c->retry_count == 0;"),
    "extension-shortens-on-nodes": ("../store/memory.c", "        if (entry->expires_ms < expires_ms)\n                entry->expires_ms = expires_ms;", "        if (expires_ms)\n                entry->expires_ms = expires_ms;"),
    "released-without-looking": ("../store/memory.c", "                if (entry_is(entry, &command->items[i])) {\n                        entry->expires_ms = 0;", "                if (entry) {\n                        entry->expires_ms = 0;"),
    "release-before-validity-ends": ("lock.c", "                if (e->now_ns < closed_until_ns) {", "                if (false) {"),
    "stale-lease-passed-on": ("renew.c", "               l->valid_until_ns - e->now_ns >= percent_of_validity_ns(e, ttl_ms, LEASE_PASS_PERCENT);", "               true;"),
    "passed-on-for-longer-than-the-lease": ("take.c", "        if (won_ns)\n                lease_renew(e, lease, won_ns, c->ttl_ms);", "        lease->counted |= e->members;\n        lease_renew(e, lease, won_ns ? won_ns : e->now_ns, c->ttl_ms);"),
    "renewal-won-by-one-node": ("round.c", "(unsigned)__builtin_popcount(item->extended & heal_worth(r, i)) >= quorum) {", "item->extended) {"),
    "renewal-counted-from-its-answer": ("round.c", "renew_on_won(e, item->lease, r->started_ns, item->ttl_ms, item->fence);", "renew_on_won(e, item->lease, e->now_ns, item->ttl_ms, item->fence);"),
    "lease-released-under-its-lock": ("lock.c", "                token_draw(e, &l->value);\n                lease_unlist(e, lease);", "                token_draw(e, &l->value);"),
    "value-of-the-lease-passed-on": ("lock.c", "                token_draw(e, &l->value);\n", "                l->value = lease->value;\n"),
    "deadlock-not-looked-for": ("take_budget.c", "        r = deadlock_search(e, c);\n", "        r = 0;\n"),
    "deadlock-through-holders-only": ("deadlock.c", "        while ((before = claim_before(before))) {", "        while (false) {"),
    "deadlock-under-a-lapsed-lock": ("lock.c", "        session_search_again(l->session);\n", ""),
    "quarantine-ten-ms-less-than-the-longest-ttl": ("validity.c", "return (ttl_max_ms + validity_drift_ms(ttl_max_ms, drift_factor) + NODE_TIMEOUT_MAX_MS) * NS_PER_MS;",
                             "return (ttl_max_ms - 10) * NS_PER_MS;"),
    "quarantine-not-waited-for": ("fitness.c", "        f->votes_ns = now_ns + f->quarantine_ns;", "        f->votes_ns = now_ns;"),
    "quarantine-goes-on-under-another-mark": ("fitness.c", "if (f->watching && f->mark == mark && same_run)", "if (f->watching && same_run)"),
    "quarantine-goes-on-over-a-restart": ("fitness.c", "if (f->watching && f->mark == mark && same_run)", "if (f->watching && f->mark == mark)"),
    "no-release-in-quarantine": ("node.c", "                fitness_on_look(&n->fitness, &ev->node.look, e->now_ns);\n",
                                 "                fitness_on_look(&n->fitness, &ev->node.look, e->now_ns);\n                if (n->fitness.state != FITNESS_FIT)\n                        e->nodes_linked &= ~bit_of(node);\n"),
    "certificate-never-written": ("node.c", "                outgoing_link(e, &n->certify_out, OUTGOING_CERTIFY);", "                ;"),
    "twins-vote-twice": ("node.c", "        if (node_is_twin(e, node)) {", "        if (false) {"),
    "certificate-not-compared": ("sim/world.c", "n->certificate != certificate_of(p->run)) {", "false) {"),
    "run-id-not-read-again": ("sim/world.c", "                h->run[node] = seen.run;", "                h->run[node] = h->run[node] ? h->run[node] : seen.run;"),
    "certificate-written-over-another-mark": ("sim/world.c", "if (n->run == p->run && n->certificate == p->mark)", "if (n->run == p->run)"),
    "one-mark-for-all": ("sim/world.c", "        return 2 * ++w->marks_n + 1;", "        return 1;"),
    "flush-keeps-the-certificate": ("sim/world.c", "        world_node(w, node - 1)->certificate = 0;", ""),
    "kept-without-being-durable": ("sim/world.c", "} else if (p->durable && kept_run && p->mark == certificate_of(kept_run)) {", "} else if (p->mark % 2 == 0) {"),
    "fence-without-the-raise": ("take_round.c", "        } else if (!fence_stands(r)) {", "        } else if (false) {"),
    "fence-is-the-hosts-clock": ("take_round.c", "i < r->acquire_n ? r->items[i].fence_best : r->items[i].fence);", "r->items[i].fence);"),
    "fence-forgotten-by-nodes": ("../store/memory.c", "        if (entry->fence > stored && entry->fence < FENCE_STORED_MAX)\n                stored = entry->fence;\n", ""),
    "fence-counts-by-one": ("../store/memory.c", "return stored + FENCE_STEP > proposal ? stored + FENCE_STEP : proposal;", "return stored + 1 > proposal ? stored + 1 : proposal;"),
    "fence-handed-out-twice": ("fence.c", "return l->fence + l->fences_given++;", "return l->fence + l->fences_given;"),
    "planted-after-the-release": ("round.c", "        if (r->kind != COMMAND_RELEASE && r->decided)\n                return false;", "        if (r->kind != COMMAND_RELEASE && r->kind != COMMAND_PLANT && r->decided)\n                return false;"),
    "planted-not-released": ("heal.c", "                leases[i]->sent |= bit_of(node);\n", ""),
    "told-too-late": ("lock.c", "        return l->valid_until_ns - margin_ms * NS_PER_MS;", "        return l->valid_until_ns + margin_ms * NS_PER_MS;"),
}


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build")
    names = sys.argv[2:] or list(MUTANTS)
    root = pathlib.Path(__file__).resolve().parents[2]
    place = root / build / "mutants"
    survived = lost = 0
    print("| planted fault | seen after | by |\n|---|---|---|")
    for name in names:
        file, line, fault = MUTANTS[name]
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(root / "src" / "core", place / "core")
        shutil.copytree(root / "src" / "store", place / "store")
        (place / "sim").mkdir()
        shutil.copy(root / "tests/sim/world.c", place / "sim")
        target = place / (file if file.startswith("sim/") else f"core/{file}")
        text = target.read_text()
        if line not in text:
            print(f"| {name} | the line is not there any more | |", flush=True)
            lost += 1
            continue
        target.write_text(text.replace(line, fault, 1))
        sources = [str(p) for p in sorted(place.glob("*/*.c"))]
        objects = [str(root / build / "tests/obj/sim" / f"{o}.o") for o in ("trace", "watch", "life", "swarm")]
        subprocess.run(["gcc", "-w", "-std=gnu11", "-D_GNU_SOURCE", f"-I{root}/include", f"-I{root}/tests", "-include",
                        "redlockd/core/lease.h", "-O1", *sources, *objects,
                        str(root / build / "libbase.a"), "-o", str(place / "swarm")], check=True)
        run = subprocess.run([str(place / "swarm"), "-q", "-s", str(SEED), "-n", str(RUNS_MAX)], capture_output=True, text=True)
        seen = re.match(r"(\d+) (.*)", run.stdout)
        if run.returncode == 0:
            survived += 1
            print(f"| {name} | **survived {RUNS_MAX}** | |", flush=True)
        elif seen:
            print(f"| {name} | {seen[1]} | {seen[2].split(':')[0]} |", flush=True)
        else:
            lives = re.search(r"life (\d+)", run.stderr)
            what = re.search(r"Assertion .(.*?)' failed", run.stderr)
            how = f"assertion `{what[1]}`" if what else "crash"
            print(f"| {name} | {lives[1] if lives else '?'} | {how} |", flush=True)
    print(f"{len(names) - survived - lost} passed, {survived + lost} failed")
    return 1 if survived or lost else 0


sys.exit(main())
