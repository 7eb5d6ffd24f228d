#include "runtime/plain_text.h"

#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "runtime/json_print.h"

namespace cadre::runtime {
namespace {

TEST(PlainText, LeavesWellFormedTextAsItIs) {
  for (const char* text : {"", "a row", "Größe – 東京 🦊", "\xF4\x8F\xBF\xBF", "\xC2\xA0"}) {
    EXPECT_EQ(valid_utf8(text), text);
    EXPECT_EQ(plain_line(text), text);
  }
}

TEST(PlainText, ReplacesWhatIsNoUtf8) {
  const struct {
    const char *text, *valid, *line;
  } cases[] = {
      {"a\xFFz", "a\uFFFDz", "a\\xffz"},
      {"\xC0\xAF", "\uFFFD\uFFFD", "\\xc0\\xaf"},                 // overlong
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD", "\\xed\\xa0\\x80"},  // a surrogate
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD", "\\xf4\\x90\\x80\\x80"},
      {"cut \xE6\x9D", "cut \uFFFD\uFFFD", "cut \\xe6\\x9d"},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(valid_utf8(one.text), one.valid);
    EXPECT_EQ(plain_line(one.text), one.line);
  }
}

TEST(PlainText, MakesOneLineThatMovesNoCursor) {
  EXPECT_EQ(plain_line("one\ntwo\r\n\tthree"), "one two   three");
  EXPECT_EQ(plain_line("\033[2Jred\x07"), "\\x1b[2Jred\\x07");
  EXPECT_EQ(plain_line("\xC2\x9B"
                       "31m"),
            "\\xc2\\x9b31m");
  EXPECT_EQ(plain_line("\x7F"), "\\x7f");
}

TEST(PlainText, RecordsCanBeReadAgainWhateverTheyQuote) {
  const std::string text = json_pretty(boost::json::object{{"reason", "row 1: \xFF\xE6"}, {"k\xFF", 1}});
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  ASSERT_FALSE(error) << text;
  EXPECT_EQ(value.at("reason").as_string(), "row 1: \uFFFD\uFFFD");
}

}  // namespace
}  // namespace cadre::runtime
