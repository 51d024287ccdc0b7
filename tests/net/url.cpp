// SPDX-License-Identifier: Apache-2.0
#include <millrace/net/url.hpp>

#include "catch.hpp"

#include <random>
#include <string>

using namespace millrace;
using Catch::Matchers::ContainsSubstring;
using net::parse_url;

namespace {

std::string words(std::string_view text) {
  const auto parsed = parse_url(text);
  return parsed ? "parsed as " + parsed->to_string() : parsed.error().to_string();
}

}  // namespace

TEST_CASE("a URL is taken apart into scheme, user, host, port, path and query") {
  const auto u = parse_url("https://ann:s%40crt@Example.ORG:9243/a%20b/c?x=1&y=%26#part").value();
  CHECK(u.scheme == "https");
  CHECK(u.user == "ann");
  CHECK(u.password == "s@crt");
  CHECK(u.host == "example.org");
  CHECK(u.port == 9243);
  CHECK(u.path == "/a%20b/c");
  CHECK(u.query == "x=1&y=%26");
  CHECK(u.fragment == "part");
  CHECK(u.target() == "/a%20b/c?x=1&y=%26");
  CHECK(u.authority() == "example.org:9243");
  CHECK(u.to_string() == "https://ann@example.org:9243/a%20b/c?x=1&y=%26");
}

TEST_CASE("a URL without port has the one of its scheme, and knows whether it is encrypted") {
  const struct {
    const char* text;
    std::uint16_t port;
    bool tls;
    bool websocket;
  } cases[] = {{"http://h", 80, false, false},   {"https://h", 443, true, false},
               {"mqtt://h", 1883, false, false}, {"mqtts://h", 8883, true, false},
               {"ws://h", 80, false, true},      {"wss://h:", 443, true, true},
               {"MQTT://h", 1883, false, false}};
  for (const auto& c : cases) {
    INFO(c.text);
    const auto u = parse_url(c.text).value();
    CHECK(u.port == c.port);
    CHECK(u.uses_tls() == c.tls);
    CHECK(u.uses_websocket() == c.websocket);
    CHECK(u.host == "h");
    CHECK(u.target() == "/");
    CHECK(u.authority() == "h");
    CHECK_FALSE(u.user.has_value());
  }
  CHECK(net::default_port("ftp") == 0);
}

TEST_CASE("an IPv6 literal loses its brackets, and gets them back where it is written") {
  CHECK(parse_url("mqtt://[::1]").value().host == "::1");
  CHECK(parse_url("mqtt://[2001:DB8::7]:99").value().authority() == "[2001:db8::7]:99");
  CHECK(parse_url("http://[::ffff:192.0.2.1]/").value().host == "::ffff:192.0.2.1");
  const auto zoned = parse_url("ws://[fe80::1%25eth0]:8080/mqtt").value();
  CHECK(zoned.host == "fe80::1%eth0");
  CHECK(zoned.authority() == "[fe80::1]:8080");
  for (const char* good : {"::", "1::", "::1", "1:2:3:4:5:6:7:8", "1::8", "::2:3:4:5:6:7:8",
                           "1:2:3:4:5:6:1.2.3.4", "::1.2.3.4"}) {
    INFO(good);
    CHECK(parse_url("http://[" + std::string(good) + "]").has_value());
  }
  for (const char* bad :
       {"", ":", ":1", "1:", "1:2", "1::2::3", "12345::", "g::", ":::", "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::8", "::1.2.3", "::256.1.1.1", "1.2.3.4", "::01.2.3.4"}) {
    INFO(bad);
    CHECK_FALSE(parse_url("http://[" + std::string(bad) + "]").has_value());
  }
}

TEST_CASE("a wrong URL is refused with words that say which part, and how to write it") {
  CHECK_THAT(words("localhost:1883"), ContainsSubstring("no scheme; write it like mqtt://host"));
  CHECK_THAT(words(""), ContainsSubstring("no scheme"));
  CHECK_THAT(words("ftp://h"), ContainsSubstring("none of http, https, mqtt"));
  CHECK(parse_url("ftp://h").error().code == errc::not_supported);
  CHECK_THAT(words("mqtt://"), ContainsSubstring("the host is empty"));
  CHECK_THAT(words("mqtt://:1883"), ContainsSubstring("the host is empty"));
  CHECK_THAT(words("mqtt://h:x"), ContainsSubstring("the port is not a number"));
  CHECK_THAT(words("mqtt://h:70000"), ContainsSubstring("above 65535"));
  CHECK_THAT(words("mqtt://h:99999999999999999999"), ContainsSubstring("above 65535"));
  CHECK_THAT(words("mqtt://h:0"), ContainsSubstring("the port is 0"));
  CHECK_THAT(words("mqtt://::1"), ContainsSubstring("write an IPv6 address in brackets"));
  CHECK_THAT(words("mqtt://[::1"), ContainsSubstring("'[' without ']'"));
  CHECK_THAT(words("mqtt://[::1]1883"), ContainsSubstring("after ']'"));
  CHECK_THAT(words("mqtt://[fe80::1%eth0]"), ContainsSubstring("%25"));
  CHECK_THAT(words("http://h/a b"), ContainsSubstring("in the path is not allowed there") &&
                                        ContainsSubstring("write it as %20"));
  CHECK_THAT(words("http://h/?a[0]=1"), ContainsSubstring("in the query is not allowed there") &&
                                            ContainsSubstring("write it as %5B"));
  CHECK_THAT(words("http://h/50%"), ContainsSubstring("write '%' as %25"));
  CHECK_THAT(words("http://h/%2"), ContainsSubstring("write '%' as %25"));
  CHECK_THAT(words("http://b\xC3\xA4r.de"), ContainsSubstring("xn--"));
  CHECK_THAT(words("http://a%20b"), ContainsSubstring("no host name has"));
  CHECK_THAT(words("http://a%00b"), ContainsSubstring("no host name has"));
  CHECK_THAT(words("http://h/" + std::string(9000, 'a')), ContainsSubstring("longer than 8192"));
  CHECK(parse_url("http://h/" + std::string(9000, 'a')).error().code == errc::too_large);
}

TEST_CASE("no error of a URL repeats a password") {
  for (const char* text :
       {"mqtt://ann:s3cret@h:x", "mqtt://ann:s3c@ret@h", "mqtt://ann:s3cr et@h", "ann:s3cret@h",
        "mqtt://ann:s3cret@", "foo://ann:s3cret@h", "mqtt://ann:x/s3cret@h:1"}) {
    INFO(words(text));
    CHECK_FALSE(parse_url(text).has_value());
    CHECK(words(text).find("s3c") == std::string::npos);
    CHECK(words(text).find("ret@") == std::string::npos);
  }
  CHECK_THAT(words("mqtt://ann:a@b@h"),
             ContainsSubstring("write those of user and password as %40"));
}

TEST_CASE("an empty password differs from none, and a user may be empty") {
  CHECK(parse_url("mqtt://u@h").value().password == std::nullopt);
  CHECK(parse_url("mqtt://u:@h").value().password == "");
  CHECK(parse_url("mqtt://:p@h").value().user == "");
  CHECK(parse_url("mqtt://u:a:b@h").value().password == "a:b");
}

TEST_CASE("percent decoding is the inverse of percent encoding for all bytes") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random() & 255U);
    const auto encoded = net::percent_encode(text);
    CHECK(net::percent_decode(encoded).value() == text);
    const auto u = parse_url("mqtt://" + encoded + ":" + encoded + "@h").value();
    CHECK(u.user == text);
    CHECK(u.password == text);
  }
  CHECK(net::percent_encode("a/b c~") == "a%2Fb%20c~");
  CHECK(net::percent_decode("a+b%2fc%2F").value() == "a+b/c/");
  CHECK_THAT(net::percent_decode("ab%4").error().message, ContainsSubstring("offset 2"));
  CHECK_THAT(net::percent_decode("%zz").error().message, ContainsSubstring("offset 0"));
}

TEST_CASE("a host holds only what can be written in it without an escape") {
  CHECK(parse_url("https://%68ost/").value().host == "host");
  for (const auto* text :
       {"https://h%22", "https://h%3Cx", "https://a%20b", "https://h%5C", "https://h%7B"}) {
    INFO(text);
    CHECK_THAT(parse_url(text).error().message, ContainsSubstring("no host name"));
  }
}

TEST_CASE("random bytes never parse into a URL that does not parse again to the same") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const std::string alphabet = "abz09AZ:/?#[]@!$&'()*+,;=-._~%25 \t\x80\xff{}|\\^\"<>";
  std::size_t parsed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = round % 2 == 0 ? "mqtt://" : "https://h";
    const auto length = random() % 24;
    for (unsigned i = 0; i < length; ++i) text += alphabet[random() % alphabet.size()];
    auto first = parse_url(text);
    if (!first) continue;
    ++parsed;
    INFO(text);
    CHECK((first->path.empty() || first->path[0] == '/'));
    if (first->host.find(':') != std::string::npos) continue;
    auto second = parse_url(first->to_string());
    REQUIRE(second);
    first->password.reset();
    first->fragment.clear();
    CHECK(*first == *second);
  }
  CHECK(parsed > 100);
}
