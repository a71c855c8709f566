/*
 * Reads a node's URL. The text is taken apart from the left into spans that point into it; only what is kept is copied,
 * percent-decoded. Nothing of the URL ever gets into an error: a slip of the pen may have put the password anywhere.
 *
 *      redis://  user : password @  host : port  / db         unix://  /path  ?db=n         memory:
 *                ----userinfo----   ---place---
 */
#include "redlockd/base/address.h"

#include "redlockd/base/mem.h"
#include "redlockd/base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define PATH_BYTES_MAX   (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define HOST_BYTES_MAX   253       /* RFC 1035, 2.3.4, as text */
#define SHOWN_FRAME_MAX  64        /* of `shown`: scheme, brackets, port and db */
#define SHOWN_BYTE_WIDTH 3         /* of one percent-encoded byte */
#define UNRESERVED_MARKS "-._~"    /* RFC 3986, 2.3, besides letters and digits */
#define PATH_MARKS       "-._~/+," /* what a path shows as it is */

static int address_refuse(const char **ret_error, const char *what)
{
        *ret_error = what;
        return -EINVAL;
}

void address_deinit(struct address *a)
{
        a->host = mem_free(a->host);
        a->path = mem_free(a->path);
        a->user = mem_free(a->user);
        a->password = mem_free(a->password);
        a->shown = mem_free(a->shown);
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

        return at ? (int)(at - digits) : -1;
}

static struct text text_cut(struct text *rest, size_t n)
{
        struct text head = { rest->data, n };

        rest->data += n;
        rest->len -= n;
        return head;
}

/* Bytes of `text` before the first that is in `stops`. */
static size_t text_span(struct text text, const char *stops)
{
        size_t n = 0;

        while (n < text.len && !strchr(stops, text.data[n]))
                ++n;
        return n;
}

/* Copies and percent-decodes; *ret_string is for mem_free(). */
static int percent_decode(struct text text, char **ret_string, const char **ret_error)
{
        char *string = mem_zalloc(text.len + 1), *to = string;
        size_t i;

        if (!string)
                return -ENOMEM;
        for (i = 0; i < text.len; ++i) {
                int high, low;

                if (text.data[i] != '%') {
                        *to++ = text.data[i];
                        continue;
                }
                high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
                low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;
                if (high < 0 || low < 0) {
                        mem_free(string);
                        return address_refuse(ret_error, "a % must be followed by two hex digits");
                }
                if (high == 0 && low == 0) {
                        mem_free(string);
                        return address_refuse(ret_error, "%00 is not allowed");
                }
                *to++ = (char)(high * 16 + low);
                i += 2;
        }
        *ret_string = string;
        return 0;
}

static char *percent_encode(char *to, const char *string, const char *marks)
{
        for (; *string; ++string) {
                if (is_alphanumeric(*string) || strchr(marks, *string))
                        *to++ = *string;
                else
                        to += sprintf(to, "%%%02X", (unsigned char)*string);
        }
        *to = '\0';
        return to;
}

/* Decimal digits and nothing else, at most `max`. */
static bool number_parse(struct text text, unsigned max, unsigned *ret_number)
{
        unsigned number = 0;
        size_t i;

        for (i = 0; i < text.len; ++i) {
                if (!is_digit(text.data[i]))
                        return false;
                number = number * 10 + (unsigned)(text.data[i] - '0');
                if (number > max)
                        return false;
        }
        if (text.len == 0)
                return false;
        *ret_number = number;
        return true;
}

static int address_db(struct address *a, struct text text, const char **ret_error)
{
        if (!number_parse(text, ADDRESS_DB_MAX, &a->db))
                return address_refuse(ret_error, "the database must be a number from 0 to 65535");
        return 0;
}

static int address_userinfo(struct address *a, struct text info, const char **ret_error)
{
        struct text user = text_cut(&info, text_span(info, ":"));
        int r = 0;

        if (user.len > 0)
                r = percent_decode(user, &a->user, ret_error);
        if (r < 0 || info.len <= 1) /* an empty password is none */
                return r;
        text_cut(&info, 1);
        return percent_decode(info, &a->password, ret_error);
}

/* A host between brackets; *rest is left after them. */
static int address_host6(struct address *a, struct text *rest, const char **ret_error)
{
        struct in6_addr unused;
        struct text host;

        text_cut(rest, 1);
        host = text_cut(rest, text_span(*rest, "]"));
        if (rest->len == 0)
                return address_refuse(ret_error, "a [ without its ]");
        text_cut(rest, 1);
        a->host = mem_zalloc(host.len + 1);
        if (!a->host)
                return -ENOMEM;
        memcpy(a->host, host.data, host.len);
        if (strlen(a->host) != host.len || inet_pton(AF_INET6, a->host, &unused) != 1)
                return address_refuse(ret_error, "not an IPv6 address between the brackets");
        return 0;
}

static int address_host(struct address *a, struct text *rest, const char **ret_error)
{
        struct text host;
        size_t i;

        if (rest->len > 0 && rest->data[0] == '[')
                return address_host6(a, rest, ret_error);
        host = text_cut(rest, text_span(*rest, ":"));
        if (host.len == 0)
                return address_refuse(ret_error, "the host is missing");
        if (host.len > HOST_BYTES_MAX)
                return address_refuse(ret_error, "the host is too long");
        for (i = 0; i < host.len; ++i)
                if (!is_alphanumeric(host.data[i]) && !strchr("-._", host.data[i]))
                        return address_refuse(ret_error, "the host has a character that no host name has");
        a->host = mem_zalloc(host.len + 1);
        if (!a->host)
                return -ENOMEM;
        memcpy(a->host, host.data, host.len);
        return 0;
}

static int address_tcp_shown(struct address *a)
{
        bool brackets = strchr(a->host, ':');
        char *to;

        a->shown = mem_zalloc(SHOWN_FRAME_MAX + strlen(a->host) + (a->user ? SHOWN_BYTE_WIDTH * strlen(a->user) : 0));
        if (!a->shown)
                return -ENOMEM;
        to = stpcpy(a->shown, "redis://");
        if (a->user)
                to = stpcpy(percent_encode(to, a->user, UNRESERVED_MARKS), "@");
        sprintf(to, "%s%s%s:%u/%u", brackets ? "[" : "", a->host, brackets ? "]" : "", a->port, a->db);
        return 0;
}

static int address_tcp(struct address *a, struct text rest, const char **ret_error)
{
        struct text authority = text_cut(&rest, text_span(rest, "/?#"));
        const char *at = memrchr(authority.data, '@', authority.len);
        unsigned port = ADDRESS_PORT_DEFAULT;
        int r;

        a->kind = ADDRESS_TCP;
        if (at) {
                r = address_userinfo(a, text_cut(&authority, (size_t)(at - authority.data)), ret_error);
                if (r < 0)
                        return r;
                text_cut(&authority, 1);
        }
        r = address_host(a, &authority, ret_error);
        if (r < 0)
                return r;
        if (authority.len > 0) {
                struct text colon = text_cut(&authority, 1);

                if (colon.data[0] != ':' || !number_parse(authority, UINT16_MAX, &port) || port == 0)
                        return address_refuse(ret_error, "the port must be a number from 1 to 65535");
        }
        a->port = (uint16_t)port;
        if (rest.len > 0 && rest.data[0] != '/')
                return address_refuse(ret_error, "nothing may follow the host and port but /db");
        if (rest.len > 1) {
                text_cut(&rest, 1);
                r = address_db(a, rest, ret_error);
                if (r < 0)
                        return r;
        }
        return address_tcp_shown(a);
}

static int address_unix(struct address *a, struct text rest, const char **ret_error)
{
        struct text path = text_cut(&rest, text_span(rest, "?#"));
        char *to;
        int r;

        a->kind = ADDRESS_UNIX;
        if (path.len == 0)
                return address_refuse(ret_error, "the path is missing");
        /* With two slashes for three the path would silently be meant from whatever folder the program runs in. */
        if (path.data[0] != '/')
                return address_refuse(ret_error, "the path must be absolute: unix:///path");
        r = percent_decode(path, &a->path, ret_error);
        if (r < 0)
                return r;
        if (strlen(a->path) > PATH_BYTES_MAX)
                return address_refuse(ret_error, "the path is longer than a Unix socket's may be");
        if (rest.len > 0) {
                if (rest.len < 4 || memcmp(rest.data, "?db=", 4) != 0)
                        return address_refuse(ret_error, "nothing may follow the path but ?db=n");
                text_cut(&rest, 4);
                r = address_db(a, rest, ret_error);
                if (r < 0)
                        return r;
        }
        a->shown = mem_zalloc(SHOWN_FRAME_MAX + SHOWN_BYTE_WIDTH * strlen(a->path));
        if (!a->shown)
                return -ENOMEM;
        to = percent_encode(stpcpy(a->shown, "unix://"), a->path, PATH_MARKS);
        sprintf(to, "?db=%u", a->db);
        return 0;
}

static int address_memory(struct address *a, struct text rest, const char **ret_error)
{
        static const char shown[] = "memory:";

        a->kind = ADDRESS_MEMORY;
        if (rest.len > 0)
                return address_refuse(ret_error, "nothing may follow memory:");
        a->shown = mem_zalloc(sizeof(shown));
        if (!a->shown)
                return -ENOMEM;
        memcpy(a->shown, shown, sizeof(shown));
        return 0;
}

static bool scheme_is(struct text *rest, const char *scheme)
{
        size_t n = strlen(scheme);

        if (rest->len < n || strncasecmp(rest->data, scheme, n) != 0)
                return false;
        text_cut(rest, n);
        return true;
}

int address_parse(const char *url, struct address *ret_address, const char **ret_error)
{
        struct text rest = text_of(url);
        struct address a = { 0 };
        const char *error = NULL;
        int r;

        if (scheme_is(&rest, "redis://"))
                r = address_tcp(&a, rest, &error);
        else if (scheme_is(&rest, "unix://"))
                r = address_unix(&a, rest, &error);
        else if (scheme_is(&rest, "memory:"))
                r = address_memory(&a, rest, &error);
        else if (scheme_is(&rest, "rediss://"))
                r = address_refuse(&error, "TLS (rediss://) is not supported");
        else
                r = address_refuse(&error, "must begin with redis://, unix:// or memory:");
        if (r < 0) {
                address_deinit(&a);
                if (r == -EINVAL)
                        *ret_error = error;
                return r;
        }
        *ret_address = a;
        return 0;
}
