/*
 * The nodes of the configuration, the files of their passwords, and the file of the configuration itself.
 */
#include "unit/config_fixture.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/redlockd-test-XXXXXX";

static void make_folder(void)
{
        strcpy(folder + sizeof(folder) - 7, "XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const char *path_in(const char *name)
{
        static char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        return path;
}

static void put_file(const char *name, const char *bytes, size_t n)
{
        FILE *f = fopen(path_in(name), "w");

        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
        fclose(f);
}

static void remove_folder(void)
{
        static const char *const names[] = { "c.json", "p", "crlf", "empty", "line", "nul", "large", "credentials/p" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
                unlink(path_in(names[i]));
        rmdir(path_in("credentials"));
        ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(nodes_are_urls_or_objects)
{
        struct config c = good("{\"nodes\":[\"redis://10.0.0.1\",{\"name\":\"b\",\"url\":\"redis://u@h:2/3\"},"
                               "\"unix:///r?db=1\",\"redis://[::1]:7\"]}");

        ck_assert_uint_eq(c.nodes_n, 4);
        ck_assert_str_eq(c.nodes[0].name, "10.0.0.1:6379");
        ck_assert_str_eq(c.nodes[1].name, "b");
        ck_assert_str_eq(c.nodes[1].address.shown, "redis://u@h:2/3");
        ck_assert_str_eq(c.nodes[2].name, "/r");
        ck_assert_uint_eq(c.nodes[2].address.db, 1);
        ck_assert_str_eq(c.nodes[3].name, "[::1]:7");
        config_deinit(&c);
}
END_TEST

START_TEST(no_nodes_are_the_memory_node)
{
        struct config c = good("{\"nodes\":[]}");

        ck_assert_uint_eq(c.nodes_n, 1);
        ck_assert_int_eq(c.nodes[0].address.kind, ADDRESS_MEMORY);
        config_deinit(&c);
        c = good("{\"nodes\":[\"memory:\"]}");
        ck_assert_uint_eq(c.nodes_n, 1);
        ck_assert_int_eq(c.nodes[0].address.kind, ADDRESS_MEMORY);
        config_deinit(&c);
}
END_TEST

START_TEST(memory_is_never_mixed)
{
        check_errors("{\"nodes\":[\"memory:\",\"redis://a\"]}",
                     "f:1:21: nodes[1]: memory: cannot be mixed with other nodes\n");
        check_errors("{\"nodes\":[\"redis://a\",{\"url\":\"memory:\"}]}",
                     "f:1:24: nodes[1].url: memory: cannot be mixed with other nodes\n");
        check_errors("{\"nodes\":[\"memory:\",\"memory:\"]}", "f:1:21: nodes[1]: the same address as nodes[0]\n");
}
END_TEST

START_TEST(what_is_no_node_is_an_error)
{
        check_errors("{\"nodes\":{}}", "f:1:2: nodes: must be an array\n");
        check_errors("{\"nodes\":\"redis://a\"}", "f:1:2: nodes: must be an array\n");
        check_errors("{\"nodes\":[5,null,[\"redis://a\"]]}",
                     "f:1:11: nodes[0]: must be a URL, or an object with one\n"
                     "f:1:13: nodes[1]: must be a URL, or an object with one\n"
                     "f:1:18: nodes[2]: must be a URL, or an object with one\n");
        check_errors("{\"nodes\":[{\"name\":\"a\"}]}", "f:1:11: nodes[0]: has no url\n");
        check_errors("{\"nodes\":[{\"url\":5}]}", "f:1:12: nodes[0].url: must be a string without NUL\n");
        check_errors("{\"nodes\":[\"redis://a\\u0000\"]}", "f:1:11: nodes[0]: must be a URL without NUL\n");
        check_errors("{\"nodes\":[\"redis://a:0\",\n\"rediss://b\"]}",
                     "f:1:11: nodes[0]: the port must be a number from 1 to 65535\n"
                     "f:2:1: nodes[1]: TLS (rediss://) is not supported\n");
}
END_TEST

START_TEST(members_of_a_node_are_known)
{
        check_errors("{\"nodes\":[{\"url\":\"redis://a\",\"passwordfile\":\"x\"}]}",
                     "f:1:30: nodes[0].passwordfile: unknown name (did you mean passwordFile?)\n");
        check_errors("{\"nodes\":[{\"url\":\"redis://a\",\"url\":\"redis://b\"}]}",
                     "f:1:30: nodes[0].url: given twice\n");
        check_errors("{\"nodes\":[{\"url\":\"redis://a\",\"name\":\"\"}]}",
                     "f:1:30: nodes[0].name: must have 1 to 64 bytes and no control characters\n");
        check_errors("{\"nodes\":[{\"url\":\"redis://a\",\"name\":\"a\\n\"}]}",
                     "f:1:30: nodes[0].name: must have 1 to 64 bytes and no control characters\n");
}
END_TEST

START_TEST(no_address_is_named_twice)
{
        check_errors("{\"nodes\":[\"redis://Host\",\"redis://b\",\"redis://:pw@hOST:6379/5\"]}",
                     "f:1:38: nodes[2]: the same address as nodes[0]\n");
        check_errors("{\"nodes\":[\"unix:///r\",{\"name\":\"b\",\"url\":\"unix:///r?db=1\"}]}",
                     "f:1:35: nodes[1].url: the same address as nodes[0]\n");
        accept("{\"nodes\":[\"redis://a:1\",\"redis://a:2\",\"unix:///a\"]}");
}
END_TEST

START_TEST(no_name_is_given_twice)
{
        check_errors("{\"nodes\":[{\"name\":\"x\",\"url\":\"redis://a\"},{\"url\":\"redis://b\",\"name\":\"x\"}]}",
                     "f:1:61: nodes[1].name: the same name as nodes[0]\n");
        check_errors("{\"nodes\":[{\"name\":\"b:6379\",\"url\":\"redis://a\"},\"redis://b\"]}",
                     "f:1:47: nodes[1]: the same name as nodes[0]\n");
}
END_TEST

START_TEST(nodes_have_a_greatest_number)
{
        char json[2000];
        size_t n = (size_t)sprintf(json, "{\"nodes\":[\"redis://h:1\"");

        for (int i = 2; i <= 31; ++i)
                n += (size_t)sprintf(json + n, ",\"redis://h:%d\"", i);
        strcpy(json + n, "]}");
        accept(json);
        strcpy(json + n, ",\"redis://h:32\"]}");
        check_errors(json, "f:1:2: nodes: must have at most 31 nodes\n");
}
END_TEST

/* Parses a file's text as if it were c.json in the folder, with one node that has this passwordFile. */
static int parse_password(const char *file, const char *credentials, struct config *ret_config, struct errors *errors)
{
        char json[PATH_MAX];

        snprintf(json, sizeof(json), "{\"nodes\":[{\"url\":\"redis://u@a\",\"passwordFile\":\"%s\"}]}", file);
        errors->len = 0;
        errors->text[0] = '\0';
        return config_parse(text_of(json), path_in("c.json"), credentials, ret_config, errors_put, errors);
}

static void check_password(const char *file, const char *credentials, const char *expected)
{
        static struct errors errors;
        struct config c;

        ck_assert_msg(parse_password(file, credentials, &c, &errors) == 0, "%s", errors.text);
        ck_assert_str_eq(c.nodes[0].address.password, expected);
        config_deinit(&c);
}

static void check_no_password(const char *file, const char *why)
{
        static struct errors errors;
        char expected[PATH_MAX + 100];
        struct config c;

        ck_assert_int_eq(parse_password(file, NULL, &c, &errors), -EINVAL);
        snprintf(expected, sizeof(expected), "%s:1:32: nodes[0].passwordFile: %s\n", path_in("c.json"), why);
        ck_assert_str_eq(errors.text, expected);
}

START_TEST(a_password_is_read_from_beside_the_file)
{
        make_folder();
        put_file("p", "se same\n", 8);
        check_password("p", NULL, "se same");
        check_password(path_in("p"), "/nowhere", "se same");
        remove_folder();
}
END_TEST

START_TEST(a_relative_password_file_is_a_credential_where_there_are_any)
{
        char credentials[PATH_MAX];

        make_folder();
        ck_assert_int_eq(mkdir(path_in("credentials"), 0700), 0);
        strcpy(credentials, path_in("credentials"));
        put_file("p", "wrong", 5);
        put_file("credentials/p", "right", 5);
        check_password("p", credentials, "right");
        remove_folder();
}
END_TEST

START_TEST(a_password_loses_one_line_end)
{
        make_folder();
        put_file("crlf", "a\n\r\n", 4);
        check_password("crlf", NULL, "a\n");
        put_file("line", "b \n\n", 4);
        check_password("line", NULL, "b \n");
        put_file("line", "b ", 2);
        check_password("line", NULL, "b ");
        remove_folder();
}
END_TEST

START_TEST(a_password_file_must_hold_one)
{
        make_folder();
        put_file("empty", "", 0);
        put_file("line", "\n", 1);
        put_file("nul", "a\0b", 3);
        check_no_password("empty", "the file is empty");
        check_no_password("line", "the file is empty");
        check_no_password("nul", "the file holds a NUL");
        check_no_password("missing", "cannot be read: No such file or directory");
        check_no_password("", "cannot be read: Is a directory");
        remove_folder();
}
END_TEST

START_TEST(a_password_file_has_a_greatest_size)
{
        static char bytes[4097];

        make_folder();
        memset(bytes, 'x', sizeof(bytes));
        put_file("large", bytes, 4096);
        bytes[4096] = '\0';
        check_password("large", NULL, bytes);
        bytes[4096] = 'x';
        put_file("large", bytes, 4097);
        check_no_password("large", "cannot be read: File too large");
        remove_folder();
}
END_TEST

START_TEST(a_password_comes_from_one_place)
{
        check_errors("{\"nodes\":[{\"url\":\"redis://:pw@a\",\"passwordFile\":\"p\"}]}",
                     "f:1:34: nodes[0].passwordFile: the url has a password already\n");
        check_errors("{\"nodes\":[{\"url\":\"memory:\",\"passwordFile\":\"p\"}]}",
                     "f:1:28: nodes[0].passwordFile: memory: takes no password\n");
}
END_TEST

START_TEST(no_error_quotes_a_password)
{
        static const char *const bad[] = {
                "{\"nodes\":[\"redis://:sesame/x@h\"]}",
                "{\"nodes\":[\"redis://:sesame@h:x\"]}",
                "{\"nodes\":[\"redis://:x\"sesame\"@h\"]}",
                "{\"nodes\":[\":sesame\n@h\"]}",
                "{\"nodes\":[sesame]}",
                "{\"nodes\":[\"\\u12zsesame\"]}",
                "{\"nodes\":[\"redis://:sesame@h\",\"redis://:sesame@h\"]}",
        };
        static struct errors errors;
        struct config c;

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
                errors.len = 0;
                ck_assert_int_eq(config_parse(text_of(bad[i]), "f", NULL, &c, errors_put, &errors), -EINVAL);
                ck_assert_uint_gt(errors.len, 0);
                ck_assert_msg(!strstr(errors.text, "sesame"), "%s", errors.text);
        }
}
END_TEST

START_TEST(a_file_is_loaded)
{
        static struct errors errors;
        uint64_t live = mem_live();
        struct config c;

        make_folder();
        put_file("c.json", "{\"lock\":{\"ttl\":77}}", 19);
        ck_assert_int_eq(config_load(path_in("c.json"), NULL, &c, errors_put, &errors), 0);
        ck_assert_uint_eq(c.lock.ttl_ms, 77);
        config_deinit(&c);
        put_file("c.json", "{\"lock\":{\"ttl\":77}", 18);
        ck_assert_int_eq(config_load(path_in("c.json"), NULL, &c, errors_put, &errors), -EINVAL);
        ck_assert_ptr_nonnull(strstr(errors.text, "/c.json:1:18: '}' expected near end of file\n"));
        ck_assert_uint_eq(mem_live(), live);
        remove_folder();
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_an_error)
{
        static struct errors errors;
        struct config c;

        ck_assert_int_eq(config_load("/nowhere/c.json", NULL, &c, errors_put, &errors), -EINVAL);
        ck_assert_str_eq(errors.text, "/nowhere/c.json: cannot be read: No such file or directory\n");
        errors.len = 0;
        ck_assert_int_eq(config_load("/tmp", NULL, &c, errors_put, &errors), -EINVAL);
        ck_assert_str_eq(errors.text, "/tmp: cannot be read: Is a directory\n");
}
END_TEST

START_TEST(a_file_has_a_greatest_size)
{
        static char bytes[1024 * 1024 + 1];
        static struct errors errors;
        struct config c;

        make_folder();
        memset(bytes, ' ', sizeof(bytes));
        bytes[0] = '{';
        bytes[1] = '}';
        put_file("c.json", bytes, sizeof(bytes) - 1);
        ck_assert_int_eq(config_load(path_in("c.json"), NULL, &c, errors_put, &errors), 0);
        config_deinit(&c);
        put_file("c.json", bytes, sizeof(bytes));
        ck_assert_int_eq(config_load(path_in("c.json"), NULL, &c, errors_put, &errors), -EINVAL);
        ck_assert_ptr_nonnull(strstr(errors.text, "/c.json: larger than 1048576 bytes\n"));
        errors.len = 0;
        ck_assert_int_eq(config_parse((struct text){ bytes, sizeof(bytes) }, "f", NULL, &c, errors_put, &errors),
                         -EINVAL);
        ck_assert_str_eq(errors.text, "f: larger than 1048576 bytes\n");
        remove_folder();
}
END_TEST

START_TEST(without_memory_a_password_leaves_nothing)
{
        static struct errors errors;
        struct config c;
        uint64_t live = mem_live();

        make_folder();
        put_file("p", "sesame", 6);
        for (uint64_t k = 1;; ++k) {
                mem_fail_at(k);
                if (parse_password("p", NULL, &c, &errors) == 0)
                        break;
                ck_assert(mem_failed());
                ck_assert_uint_eq(errors.len, 0);
                ck_assert_uint_eq(mem_live(), live);
        }
        ck_assert(!mem_failed());
        config_deinit(&c);
        remove_folder();
}
END_TEST

UNIT_MAIN("config_nodes", nodes_are_urls_or_objects, no_nodes_are_the_memory_node, memory_is_never_mixed,
          what_is_no_node_is_an_error, members_of_a_node_are_known, no_address_is_named_twice, no_name_is_given_twice,
          nodes_have_a_greatest_number, a_password_is_read_from_beside_the_file,
          a_relative_password_file_is_a_credential_where_there_are_any, a_password_loses_one_line_end,
          a_password_file_must_hold_one, a_password_file_has_a_greatest_size, a_password_comes_from_one_place,
          no_error_quotes_a_password, a_file_is_loaded, a_file_that_cannot_be_read_is_an_error,
          a_file_has_a_greatest_size, without_memory_a_password_leaves_nothing)
