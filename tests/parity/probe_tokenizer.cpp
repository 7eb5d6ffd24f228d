// Prints what our tokenizer makes of texts, for test_tokenizer.py.
//
//   probe_tokenizer FOLDER      texts on stdin, each as its length in bytes (uint32, little-endian) and its bytes
//   probe_tokenizer --json FILE the same, with FILE as tokenizer.json
//   probe_tokenizer --matches PATTERN     texts as above; for each the matches of a regular expression, [[begin, end],
//   …] probe_tokenizer --normalize FORM      stdin in NFC, NFD, NFKC or NFKD, or in lower case (lower) probe_tokenizer
//   --set NAME            the code points of a set, as runs [[begin, end], …] probe_tokenizer --train VOCAB_SIZE
//   [SPECIAL...]  stdin is a corpus; prints the tokenizer.json trained on it
//
// For each text a JSON line: {"ids", "special_ids", "ranges" (of special_ids), "decoded",
// "decoded_backwards", "decoded_skipping"}, or
// {"error"}.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/tokenizer/bpe_trainer.h"
#include "trainer/tokenizer/normalizers.h"
#include "trainer/tokenizer/regex.h"
#include "trainer/tokenizer/tokenizer.h"
#include "trainer/tokenizer/unicode_tables.h"

namespace {

using cadre::tokenizer::Tokenizer;

boost::json::array to_json(const std::vector<cadre::tokenizer::TokenId>& ids) {
  return boost::json::array(ids.begin(), ids.end());
}

boost::json::object probe(const Tokenizer& tokenizer, std::string_view text) {
  boost::json::object out;
  try {
    const auto ids = tokenizer.encode(text, false);
    const auto encoding = tokenizer.encode_with_ranges(text, true);
    boost::json::array ranges;
    for (const auto& range : encoding.ranges) ranges.push_back(boost::json::array{range.begin, range.end});
    out["ids"] = to_json(ids);
    out["special_ids"] = to_json(encoding.ids);
    out["plain_special_ids_equal"] = tokenizer.encode(text, true) == encoding.ids;
    out["ranges"] = std::move(ranges);
    out["decoded"] = tokenizer.decode(encoding.ids, false);
    out["decoded_backwards"] = tokenizer.decode(std::vector(encoding.ids.rbegin(), encoding.ids.rend()), false);
    out["decoded_skipping"] = tokenizer.decode(encoding.ids, true);
  } catch (const cadre::runtime::UserError& error) {
    out["error"] = error.what();
  }
  return out;
}

std::string read_stdin() {
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

// Calls `answer` with each text of stdin and prints the JSON that it gives.
template <typename Answer>
void answer_texts(const Answer& answer) {
  const std::string input = read_stdin();
  for (std::size_t at = 0; at + 4 <= input.size();) {
    std::uint32_t size;
    std::memcpy(&size, input.data() + at, 4);
    at += 4;
    std::cout << boost::json::serialize(answer(std::string_view(input).substr(at, size))) << '\n';
    at += size;
  }
}

boost::json::value matches(const cadre::tokenizer::Regex& regex, std::string_view text) {
  boost::json::array out;
  if (text.empty()) return out;
  regex.for_each_match(text, [&](const cadre::tokenizer::Regex::Match& match) {
    out.push_back(boost::json::array{match.begin - text.data(), match.end - text.data()});
  });
  return out;
}

void print_set(const std::string& name) {
  using namespace cadre::tokenizer;
  const CodePointSet& set = name == "white_space" ? white_space()
                            : name == "word"      ? word_characters()
                            : name == "numeric"   ? numeric()
                                                  : punctuation();
  boost::json::array runs;
  for (const auto& run : set.runs())
    runs.push_back(boost::json::array{static_cast<std::uint32_t>(run.begin), static_cast<std::uint32_t>(run.end)});
  std::cout << boost::json::serialize(runs) << '\n';
}

void print_normalized(const std::string& form) {
  using namespace cadre::tokenizer;
  const auto normalizer = form == "lower" ? make_lowercase()
                                          : make_unicode_normalizer(form == "NFC"    ? NormalizationForm::kNfc
                                                                    : form == "NFD"  ? NormalizationForm::kNfd
                                                                    : form == "NFKC" ? NormalizationForm::kNfkc
                                                                                     : NormalizationForm::kNfkd);
  MappedText text = MappedText::identity(read_stdin(), 0, false);
  normalizer->apply(text);
  std::cout << text.text();
}

int run(const std::vector<std::string>& arguments) {
  std::ios::sync_with_stdio(false);
  if (arguments.size() == 2 && arguments[0] == "--matches") {
    const auto regex = cadre::tokenizer::Regex::compile(arguments[1], "the pattern");
    answer_texts([&](std::string_view text) { return matches(regex, text); });
    return 0;
  }
  if (arguments.size() == 2 && arguments[0] == "--set") return print_set(arguments[1]), 0;
  if (arguments.size() == 2 && arguments[0] == "--normalize") return print_normalized(arguments[1]), 0;
  if (arguments.size() >= 2 && arguments[0] == "--train") {
    const std::string corpus = read_stdin();
    std::cout << cadre::tokenizer::train_byte_level_bpe(corpus, std::stoul(arguments[1]),
                                                        {arguments.begin() + 2, arguments.end()});
    return 0;
  }
  const bool json = arguments.size() == 2 && arguments[0] == "--json";
  if (!json && arguments.size() != 1) {
    std::cerr << "usage: probe_tokenizer FOLDER | --json FILE | --train VOCAB_SIZE [SPECIAL...]\n";
    return 2;
  }
  const Tokenizer tokenizer =
      json ? Tokenizer::from_json(cadre::runtime::read_file(arguments[1], 1u << 28), arguments[1])
           : Tokenizer::load(arguments[0]);
  answer_texts([&](std::string_view text) { return probe(tokenizer, text); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const cadre::runtime::UserError& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
