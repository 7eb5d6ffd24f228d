#include "trainer/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "runtime/error.h"
#include "trainer/tokenizer/bpe_trainer.h"

namespace cadre::tokenizer {
namespace {

// A tokenizer.json whose vocabulary is `vocab` (JSON), with other parts in place of the defaults.
std::string tokenizer_json(const std::string& vocab, const std::string& merges, const std::string& parts = "",
                           const std::string& model_parts = "") {
  return R"({"version": "1.0", )" + (parts.empty() ? "" : parts + ", ") + R"("model": {"type": "BPE", )" +
         (model_parts.empty() ? "" : model_parts + ", ") + R"("vocab": )" + vocab + R"(, "merges": )" + merges + "}}";
}

std::vector<TokenId> encode(const std::string& json, std::string_view text, bool special = false) {
  return Tokenizer::from_json(json, "t.json").encode(text, special);
}

std::string error_of(const std::string& json) {
  try {
    Tokenizer::from_json(json, "t.json");
  } catch (const runtime::UserError& error) {
    return error.what();
  }
  return "no error";
}

using Ids = std::vector<TokenId>;
constexpr char kLetters[] = R"({"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "bc": 5, "<0xC3>": 6, "<0xA9>": 7, "?": 8})";

TEST(Tokenizer, MergesTheLowestRankFirst) {
  EXPECT_EQ(encode(tokenizer_json(kLetters, R"(["a b", "ab c", "b c"])"), "abc"), Ids{4});
  EXPECT_EQ(encode(tokenizer_json(kLetters, R"([["b", "c"], ["a", "b"], ["ab", "c"]])"), "abcab"), (Ids{0, 5, 3}));
}

TEST(Tokenizer, UnknownCharactersFallBackToBytesThenToUnk) {
  EXPECT_EQ(encode(tokenizer_json(kLetters, "[]", "", R"("byte_fallback": true)"), "a\xC3\xA9"), (Ids{0, 6, 7}));
  EXPECT_EQ(encode(tokenizer_json(kLetters, "[]", "", R"("unk_token": "?")"), "xyb"), (Ids{8, 8, 1}));
  EXPECT_EQ(encode(tokenizer_json(kLetters, "[]", "", R"("unk_token": "?", "fuse_unk": true)"), "xyb"), (Ids{8, 1}));
  EXPECT_EQ(encode(tokenizer_json(kLetters, "[]"), "xb"), Ids{1});
  EXPECT_THROW(encode(tokenizer_json(kLetters, "[]", "", R"("unk_token": "none")"), "x"), runtime::UserError);
}

TEST(Tokenizer, IgnoreMergesTakesWholeWords) {
  EXPECT_EQ(encode(tokenizer_json(kLetters, "[]", "", R"("ignore_merges": true)"), "abc"), Ids{4});
}

TEST(Tokenizer, RangesAreBytesOfTheOriginal) {
  const std::string parts = R"("added_tokens": [{"id": 9, "content": "<e>", "special": true, "rstrip": true}],
      "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "c"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "b"}]}, "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
      "special_tokens": {"x": {"id": "x", "ids": [8], "tokens": ["?"]}}})";
  const Tokenizer tokenizer =
      Tokenizer::from_json(tokenizer_json(kLetters, R"(["a b"])", parts, R"("byte_fallback": true)"), "t.json");
  // c|e◌́ (two bytes of é)|a+space  <e>+spaces  c|b
  const Encoding encoding = tokenizer.encode_with_ranges(
      "e\xCC\x81"
      "a <e>  b",
      true);
  EXPECT_EQ(encoding.ids, (Ids{8, 2, 6, 7, 3, 9, 2, 1}));
  const std::vector<std::pair<std::uint32_t, std::uint32_t>> want{{0, 0}, {0, 1},  {0, 1},   {0, 1},
                                                                  {3, 5}, {5, 10}, {10, 11}, {10, 11}};
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(encoding.ranges[i].begin, want[i].first) << i;
    EXPECT_EQ(encoding.ranges[i].end, want[i].second) << i;
  }
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  struct Case {
    std::string json, message;
  };
  const auto with = [](const std::string& parts) { return tokenizer_json(kLetters, "[]", parts); };
  const Case cases[] = {
      {"{", "t.json:1:2: expected JSON: incomplete JSON; the file may have been cut off"},
      {"[]", "t.json: expected an object, found an array"},
      {"{}", "t.json: expected an object with \"model\"; is this a tokenizer.json?"},
      {"{\"model\": \"\xFF\"}", "t.json:1:12: expected UTF-8, found another byte"},
      {std::string(100, '['), "t.json:1:33: expected JSON: too deep"},
      {R"({"model": {"type": "Unigram"}})", "t.json: model: the model \"Unigram\" is not supported; known is BPE"},
      {R"({"model": {"vocab": {"a": -1}, "merges": []}})",
       "t.json: model.vocab.a: expected a whole number from 0 to 16777215, found -1"},
      {R"({"model": {"vocab": {"a": 16777216}, "merges": []}})",
       "t.json: model.vocab.a: expected a whole number from 0 to 16777215, found 16777216"},
      {R"({"model": {"vocab": {"a": 1.5}, "merges": []}})",
       "t.json: model.vocab.a: expected a whole number from 0 to 16777215, found 1.5E0"},
      {R"({"model": {"vocab": {"a": 1, "b": 1}, "merges": []}})",
       "t.json: model.vocab.b: another token has the id 1 too"},
      {tokenizer_json(kLetters, R"(["a x"])"),
       "t.json: model.merges[0] (\"a\", \"x\") needs the token \"x\", which model.vocab does not have"},
      {tokenizer_json(kLetters, R"(["abc"])"),
       "t.json: model.merges[0]: expected two tokens with one space between, found \"abc\""},
      {tokenizer_json(kLetters, R"([["a", "b", "c"]])"), "t.json: model.merges[0]: expected two tokens"},
      {tokenizer_json(kLetters, "[]", "", R"("dropout": 0.1)"),
       "t.json: model.dropout: expected null: tokens that change by chance are not supported"},
      {with(R"("normalizer": {"type": "Nmt"})"),
       "t.json: normalizer: the normalizer \"Nmt\" is not supported; known are NFC, NFD, NFKC, NFKD, Prepend, Replace, "
       "Strip, Lowercase, ByteLevel and Sequence"},
      {with(R"("pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}]})"),
       "t.json: pre_tokenizer.pretokenizers[0]: the pre-tokenizer \"UnicodeScripts\" is not supported; known are "
       "ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit and "
       "Sequence"},
      {with(R"("decoder": {"type": "CTC"})"),
       "t.json: decoder: the decoder \"CTC\" is not supported; known are ByteLevel, Replace, ByteFallback, Fuse, "
       "Strip, "
       "Metaspace, BPEDecoder and Sequence"},
      {with(R"("post_processor": {"type": "Other"})"),
       "t.json: post_processor: the post-processor \"Other\" is not supported; known are TemplateProcessing, "
       "ByteLevel, "
       "RobertaProcessing, BertProcessing and Sequence"},
      {with(R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a)\\1"}, "behavior": "Isolated"})"),
       "t.json: pre_tokenizer.pattern: the regular expression \"(a)\\1\", byte 6: the escape \\1 is not supported"},
      {with(R"x("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?i:ss)"}, "behavior": "Isolated"})x"),
       "t.json: pre_tokenizer.pattern: the regular expression \"(?i:ss)\", byte 7: \"ss\" inside (?i:) is not "
       "supported: "
       "it also stands for one letter"},
      {with(R"("pre_tokenizer": {"type": "Metaspace", "replacement": "_", "add_prefix_space": false})"),
       "t.json: pre_tokenizer: add_prefix_space is false, but prepend_scheme is not \"never\""},
      {with(R"("added_tokens": [{"id": 12, "content": "<s>", "special": true}])"),
       "t.json: added_tokens[0]: \"<s>\" has the id 12, but its place after the vocabulary is 9; make the two agree"},
      {with(R"("added_tokens": [{"id": 1, "content": "abc"}])"),
       "t.json: added_tokens[0]: \"abc\" has the id 1, but model.vocab has it at 4; make the two agree"},
  };
  for (const Case& one : cases) EXPECT_EQ(error_of(one.json), one.message);
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const Tokenizer tokenizer = Tokenizer::from_json(tokenizer_json(kLetters, "[]"), "t.json");
  for (const std::string text : {"ab\xFF", "ab\xC3", "ab\xED\xA0\x80", "ab\xC0\x80", "ab\xF4\x90\x80\x80"}) {
    try {
      tokenizer.encode(text, false);
      ADD_FAILURE() << "no error";
    } catch (const runtime::UserError& error) {
      EXPECT_STREQ(error.what(), "expected UTF-8 text, found another byte at byte 2");
    }
  }
}

TEST(Tokenizer, RunsAwayFromPatternsThatNeverEnd) {
  const Tokenizer tokenizer = Tokenizer::from_json(
      tokenizer_json(
          kLetters, "[]",
          R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:a|a)*b"}, "behavior": "Isolated"})"),
      "t.json");
  EXPECT_NO_THROW(tokenizer.encode("aab", false));
  const Tokenizer slow = Tokenizer::from_json(
      tokenizer_json(
          kLetters, "[]",
          R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:ab|ab)*c"}, "behavior": "Isolated"})"),
      "t.json");
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "ab";
  EXPECT_THROW(slow.encode(text, false), runtime::UserError);
}

TEST(Tokenizer, OneGiantWordIsNotQuadratic) {
  const Tokenizer tokenizer = Tokenizer::from_json(train_byte_level_bpe("aaaa aaaa aaaa aaaa", 260, {}), "t.json");
  const auto begin = std::chrono::steady_clock::now();
  const auto ids = tokenizer.encode(std::string(1 << 20, 'a'), false);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_EQ(tokenizer.decode(ids, false), std::string(1 << 20, 'a'));
}

TEST(Tokenizer, ThreadsAndTokenizersDoNotMixTheirWords) {
  const Tokenizer first = Tokenizer::from_json(tokenizer_json(kLetters, R"(["a b", "ab c"])"), "t.json");
  const Tokenizer second = Tokenizer::from_json(tokenizer_json(kLetters, R"(["b c"])"), "t.json");
  const auto work = [&] {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(first.encode("abc", false), Ids{4});
      EXPECT_EQ(second.encode("abc", false), (Ids{0, 5}));
    }
  };
  std::thread other(work);
  work();
  other.join();
}

class TokenizerFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("tokenizer_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const char* name, const std::string& text) { std::ofstream(folder_ / name, std::ios::binary) << text; }

  std::filesystem::path folder_;
};

TEST_F(TokenizerFolder, ReadsSpecialTokensAndTemplates) {
  write("tokenizer.json", tokenizer_json(kLetters, "[]"));
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "a"}, "eos_token": "b", "pad_token": null,
            "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  write("special_tokens_map.json", R"({"bos_token": "c", "pad_token": "c", "unk_token": {"content": "none"}})");
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer.bos_token(), "a");
  EXPECT_EQ(tokenizer.eos_token(), "b");
  EXPECT_EQ(tokenizer.pad_token(), "c");
  EXPECT_EQ(tokenizer.unk_token(), "none");
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.chat_template(), "D");
  EXPECT_EQ(tokenizer.vocab_size(), 9u);
  write("chat_template.jinja", "J");
  EXPECT_EQ(Tokenizer::load(folder_).chat_template(), "J");
}

TEST_F(TokenizerFolder, ReadsVocabularyAndMerges) {
  write("vocab.json", R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})");
  write("merges.txt", "#version: 0.2\r\na b\r\n");
  const Tokenizer tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer.encode("ab<|endoftext|>a", false), (Ids{2, 3, 0}));
  write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  EXPECT_THROW(Tokenizer::load(folder_), runtime::UserError);
}

TEST_F(TokenizerFolder, SaysWhatIsMissing) {
  try {
    Tokenizer::load(folder_);
    ADD_FAILURE() << "no error";
  } catch (const runtime::UserError& error) {
    EXPECT_EQ(std::string(error.what()),
              folder_.string() + ": expected tokenizer.json, or vocab.json and merges.txt, found neither");
  }
}

TEST(BpeTrainer, LearnsFrequentPairsAndRoundTrips) {
  const std::string corpus = "low low low lower lowest newest newest<|endoftext|>";
  const std::string json = train_byte_level_bpe(corpus, 264, {"<|endoftext|>"});
  EXPECT_EQ(json, train_byte_level_bpe(corpus, 264, {"<|endoftext|>"}));
  const Tokenizer tokenizer = Tokenizer::from_json(json, "t.json");
  EXPECT_EQ(tokenizer.vocab_size(), 264u);
  EXPECT_EQ(tokenizer.token_to_id("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer.encode(" low", false).size(), 1u);
  const std::string text = "lowest \xF0\x9F\x98\x80 <|endoftext|> \n";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false), false), text);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false), true), "lowest \xF0\x9F\x98\x80  \n");
  EXPECT_THROW(train_byte_level_bpe("\xFF", 300, {}), runtime::UserError);
  EXPECT_THROW(train_byte_level_bpe("a", 256, {"x"}), runtime::UserError);
  EXPECT_THROW(train_byte_level_bpe("a", 300, {"x", "x"}), runtime::UserError);
}

}  // namespace
}  // namespace cadre::tokenizer
