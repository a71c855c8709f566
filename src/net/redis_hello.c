/*
 * The introduction. All of it goes out at once and costs one round trip; the answers come in order, and the first error
 * to AUTH, SELECT or PING ends the connection with that error as the reason.
 *
 *      AUTH [user] password   where the address has one of them
 *      SELECT db              where it is not 0
 *      the first look         begins with PING: loading, asking for a password ...
 *      CLIENT SETNAME         for people: an error is tolerated
 *      CLIENT ID              for redis_dead.c: an error is tolerated
 *      SCRIPT LOAD            of each script: an error is tolerated, the script is then always called by its text
 *
 * A server that is full, or takes nobody from outside, sends its error unasked and closes: it is taken for the answer
 * to whichever comes first, so that must be one whose error is the reason.
 *
 * Redis repeats arguments in some errors ("unknown command 'AUTH', with args beginning with: ..."), in quotes: of an
 * error to AUTH only the words before the first quote are passed on, and none if the password is still among them.
 */
#include "redlockd/net/redis_hello.h"
#include "redlockd/net/redis_words.h"

#include <errno.h>
#include <stdio.h>

#define NUMBER_MAX 24

static const char *const hello_names[] = {
        [REDIS_OWED_AUTH] = "AUTH",    [REDIS_OWED_SELECT] = "SELECT",    [REDIS_OWED_SETNAME] = "CLIENT SETNAME",
        [REDIS_OWED_ID] = "CLIENT ID", [REDIS_OWED_LOAD] = "SCRIPT LOAD", [REDIS_OWED_KILL] = "CLIENT KILL",
};

struct hello {
        struct buffer *output;
        struct redis_owed_queue *owed;
        uint64_t now_ns;
};

static int hello_add_owed(const struct hello *h, struct redis_owed owed, const struct text *args, size_t args_n)
{
        int r;

        r = redis_owed_reserve(h->owed);
        if (r < 0)
                return r;
        r = redis_encode(h->output, args, args_n);
        if (r < 0)
                return r;
        owed.sent_ns = h->now_ns;
        redis_owed_push(h->owed, &owed);
        return 0;
}

static int hello_add(const struct hello *h, enum redis_owed_kind kind, const struct text *args, size_t args_n)
{
        return hello_add_owed(h, (struct redis_owed){ .kind = kind }, args, args_n);
}

/* The words of AUTH; 0: none is needed. */
static size_t hello_auth(const struct address *address, struct text ret_args[3])
{
        size_t n = 0;

        if (!address->user && !address->password)
                return 0;
        ret_args[n++] = text_of("AUTH");
        /* a user without a password is an ACL user with `nopass`, and not the default user */
        if (address->user)
                ret_args[n++] = text_of(address->user);
        ret_args[n++] = text_of(address->password ? address->password : "");
        return n;
}

static int hello_add_auth(const struct hello *h, const struct address *address)
{
        struct text args[3];
        size_t n = hello_auth(address, args);

        return n > 0 ? hello_add(h, REDIS_OWED_AUTH, args, n) : 0;
}

int redis_hello_encode_auth(struct buffer *output, const struct address *address, bool *ret_asked)
{
        struct text args[3];
        size_t n = hello_auth(address, args);
        int r = n > 0 ? redis_encode(output, args, n) : 0;

        if (r == 0)
                *ret_asked = n > 0;
        return r;
}

static int hello_add_select(const struct hello *h, const struct address *address)
{
        char db[NUMBER_MAX];

        if (address->db == 0)
                return 0;
        snprintf(db, sizeof(db), "%u", address->db);
        return hello_add(h, REDIS_OWED_SELECT, (const struct text[]){ text_of("SELECT"), text_of(db) }, 2);
}

static int hello_add_script(const struct hello *h, unsigned script)
{
        const struct text args[] = { text_of("SCRIPT"), text_of("LOAD"), text_of(redis_script_text(script)) };

        return hello_add_owed(h, (struct redis_owed){ .kind = REDIS_OWED_LOAD, .script = script }, args, 3);
}

int redis_hello_encode(struct buffer *output, struct redis_owed_queue *owed, const struct address *address,
                       const struct redis_look *look, uint64_t now_ns)
{
        const struct hello h = { output, owed, now_ns };
        const struct text setname[] = { text_of("CLIENT"), text_of("SETNAME"), text_of("redlockd") };
        unsigned i;
        int r;

        r = hello_add_auth(&h, address);
        if (r == 0)
                r = hello_add_select(&h, address);
        if (r == 0)
                r = redis_look_encode(output, owed, look, now_ns);
        if (r == 0)
                r = hello_add(&h, REDIS_OWED_SETNAME, setname, 3);
        if (r == 0)
                r = hello_add(&h, REDIS_OWED_ID, (const struct text[]){ text_of("CLIENT"), text_of("ID") }, 2);
        if (r == 0)
                for (i = 0; i < REDIS_SCRIPTS_N && r == 0; ++i)
                        r = hello_add_script(&h, i);
        return r;
}

void redis_hello_hide(char words[NODE_REASON_MAX], const struct address *address)
{
        if (address->password && strstr(words, address->password))
                snprintf(words, NODE_REASON_MAX, "refused");
}

void redis_hello_words_of_error(char ret_words[NODE_REASON_MAX], struct text words, const struct address *auth)
{
        size_t n;

        redis_words(ret_words, NODE_REASON_MAX / 2, words);
        if (!auth)
                return;
        for (n = strcspn(ret_words, "'`\""); n > 0 && ret_words[n - 1] == ' '; --n)
                continue;
        ret_words[n] = '\0';
        redis_hello_hide(ret_words, auth);
}

static int hello_refused(enum redis_owed_kind kind, struct text words, const struct address *address,
                         char ret_reason[NODE_REASON_MAX])
{
        char line[NODE_REASON_MAX];

        redis_hello_words_of_error(line, words, kind == REDIS_OWED_AUTH ? address : NULL);
        redis_hello_hide(line, address);
        snprintf(ret_reason, NODE_REASON_MAX, "%s: %.*s", hello_names[kind], NODE_REASON_MAX / 2, line);
        return -EPROTO;
}

static bool hello_is_sha(struct text text)
{
        return text.len == REDIS_SHA_LEN && strspn(text.data, "0123456789abcdef") == REDIS_SHA_LEN;
}

static bool hello_take_value(struct redis_facts *facts, const struct redis_owed *owed, const struct redis_value *value)
{
        switch (owed->kind) {
        case REDIS_OWED_LOAD:
                if (value->kind != REDIS_VALUE_STRING || !hello_is_sha(value->text))
                        return false;
                memcpy(facts->scripts[owed->script].sha, value->text.data, REDIS_SHA_LEN + 1);
                return true;
        case REDIS_OWED_ID:
                facts->id = value->kind == REDIS_VALUE_INTEGER && value->integer > 0 ? (uint64_t)value->integer : 0;
                return facts->id > 0;
        case REDIS_OWED_KILL:
                return value->kind == REDIS_VALUE_INTEGER;
        default:
                return value->kind == REDIS_VALUE_STATUS;
        }
}

int redis_hello_take(struct redis_facts *facts, const struct redis_owed *owed, const struct redis_value *value,
                     const struct address *address, char ret_reason[NODE_REASON_MAX])
{
        enum redis_owed_kind kind = owed->kind;

        if (value->kind == REDIS_VALUE_ERROR) {
                if (kind == REDIS_OWED_AUTH || kind == REDIS_OWED_SELECT)
                        return hello_refused(kind, value->text, address, ret_reason);
                return 0;
        }
        if (hello_take_value(facts, owed, value))
                return 0;
        snprintf(ret_reason, NODE_REASON_MAX, "an answer of the wrong shape to %s", hello_names[kind]);
        return -EPROTO;
}
