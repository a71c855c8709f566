#pragma once

/*
 * The introduction of a connection, sent in one go: AUTH, SELECT, CLIENT SETNAME, CLIENT ID, SCRIPT LOAD, and a first
 * look (net/redis_look.h). Private to net/redis.
 */
#include "redlockd/base/address.h"
#include "redlockd/base/buffer.h"
#include "redlockd/net/redis_codec.h"
#include "redlockd/net/redis_look.h"
#include "redlockd/net/redis_owed.h"
#include "redlockd/net/redis_script.h"

/* What is known of the server at the other end of the present connection. */
struct redis_facts {
        struct redis_script scripts[REDIS_SCRIPTS_N];
        uint64_t id;    /* of this connection; 0: not known */
        bool unbatched; /* it may not use all keys, and one in a batch would spoil it for the others */
};

/* Appends the introduction, and what is owed for it. Returns 0, -ENOBUFS or -ENOMEM. */
int redis_hello_encode(struct buffer *output, struct redis_owed_queue *owed, const struct address *address,
                       const struct redis_look *look, uint64_t now_ns);

/* Appends AUTH alone, where the address asks for it; nothing is owed for it. Returns 0, -ENOBUFS or -ENOMEM. */
int redis_hello_encode_auth(struct buffer *output, const struct address *address, bool *ret_asked);

/*
 * Takes the answer to a part of it that is no part of the look. Returns 0, or -EPROTO where the connection is of no
 * use: the reason never has the password in it.
 */
int redis_hello_take(struct redis_facts *facts, const struct redis_owed *owed, const struct redis_value *value,
                     const struct address *address, char ret_reason[NODE_REASON_MAX]);

/* The words of an error, for people; of one to AUTH (`auth`: the address; else NULL) without the password. */
void redis_hello_words_of_error(char ret_words[NODE_REASON_MAX], struct text words, const struct address *auth);

/* Words in which the password is are not for people: they become others. For what a server says to anything but AUTH.
 */
void redis_hello_hide(char words[NODE_REASON_MAX], const struct address *address);
