#include "trainer/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/data/prepare_fixture.h"

namespace cadre::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class DatasetTest : public PrepareFixture {};

using Strings = std::vector<std::string>;

TEST_F(DatasetTest, AlpacaWithItsOwnPrompts) {
  add("alpaca", "a.jsonl",
      "{\"instruction\":\"Add.\",\"input\":\"1 2\",\"output\":\"3\"}\n"
      "{\"instruction\":\"Say hi.\",\"input\":\"\",\"output\":\"hi\"}\n"
      "{\"instruction\":\"Say hi.\",\"output\":\"hi\",\"system\":\"Be kind.\"}\n");
  EXPECT_EQ(rows(),
            (Strings{"<s>Below is an instruction that describes a task, paired with an input that provides further "
                     "context. Write a response that appropriately completes the request.\n\n### Instruction:\n"
                     "Add.\n\n### Input:\n1 2\n\n### Response:\n[3</s>]",
                     "<s>Below is an instruction that describes a task. Write a response that appropriately completes "
                     "the request.\n\n### Instruction:\nSay hi.\n\n### Response:\n[hi</s>]",
                     "<s>Be kind.\n\n### Instruction:\nSay hi.\n\n### Response:\n[hi</s>]"}));
}

TEST_F(DatasetTest, AlpacaWithMappedColumnsAndAnAnswerThatStartsWithASpace) {
  auto& dataset = add("alpaca", "bank.csv", "text,category\n\"Where, please?\",card_arrival\n");
  dataset.field_instruction = "text";
  dataset.field_output = "category";
  dataset.prompt_no_input_format = "Question: {instruction}\nIntent:";
  dataset.output_format = " {output}";
  EXPECT_EQ(rows(), Strings{"<s>Question: Where, please?\nIntent:[ card_arrival</s>]"});
  // " c" is one token: the answer's, since prompt and answer are tokenized apart.
  const Prepared prepared = run();
  EXPECT_EQ(prepared.train_report.trained_tokens, std::string("card_arrival").size() + 1);
}

TEST_F(DatasetTest, PromptIsTrainedOnWhenAsked) {
  config_.train_on_inputs = true;
  auto& dataset = add("alpaca", "a.jsonl", "{\"instruction\":\"q\",\"output\":\"a\"}");
  dataset.prompt_format = "{instruction}:";
  EXPECT_EQ(rows(), Strings{"<s>[q:a</s>]"});
}

TEST_F(DatasetTest, BracesInFormats) {
  auto& dataset = add("alpaca", "a.jsonl", "{\"instruction\":\"{x}\",\"output\":\"a\"}");
  dataset.prompt_format = "{{{instruction}}}{system}{input}";
  EXPECT_EQ(rows(), Strings{"<s>{{x}}[a</s>]"});
}

TEST_F(DatasetTest, CompletionIsTheWholeTextAndEos) {
  add("completion", "c.jsonl", "{\"text\":\"once upon\"}\n{\"text\":\"ends</s>\"}");
  EXPECT_EQ(rows(), (Strings{"<s>[once upon</s>]", "<s>[ends</s>]"}));
}

TEST_F(DatasetTest, EosOfThePostProcessorIsNotDoubled) {
  use({.adds_eos = true});
  add("completion", "c.jsonl", "{\"text\":\"once\"}");
  auto& dataset = add("alpaca", "a.jsonl", "{\"instruction\":\"q\",\"output\":\"a\"}");
  dataset.prompt_format = "{instruction}:";
  EXPECT_EQ(rows(), (Strings{"<s>[once</s>]", "<s>q:[a</s>]"}));
}

TEST_F(DatasetTest, WithoutBosTheFirstTokenIsStillNoTarget) {
  use({.adds_bos = false});
  add("completion", "c.jsonl", "{\"text\":\"once\"}");
  EXPECT_EQ(rows(), Strings{"o[nce</s>]"});
}

TEST_F(DatasetTest, EosUntrainedWhenAsked) {
  config_.train_on_eos = "none";
  add("completion", "c.jsonl", "{\"text\":\"once\"}\n{\"text\":\"ends</s>\"}");
  EXPECT_EQ(rows(), (Strings{"<s>[once]</s>", "<s>[ends]</s>"}));
}

TEST_F(DatasetTest, InputOutputIsVerbatim) {
  add("input_output", "io.jsonl",
      "{\"segments\":[{\"label\":false,\"text\":\"<s>ask \"},{\"label\":true,\"text\":\"answer</s>\"},"
      "{\"label\":false,\"text\":\" more\"}]}");
  EXPECT_EQ(rows(), Strings{"<s>ask [answer</s>] more"});
}

TEST_F(DatasetTest, StructuredFieldsInCsvAreJsonText) {
  add("input_output", "io.csv", "segments\n\"[{\"\"label\"\":true,\"\"text\"\":\"\"xyz\"\"}]\"\n");
  EXPECT_EQ(rows(), Strings{"x[yz]"});
}

TEST_F(DatasetTest, TokenizedNeedsNoTokenizer) {
  add("tokenized", "t.jsonl",
      "{\"input_ids\":[5,6,7]}\n{\"input_ids\":[5,6,7],\"labels\":[-100,-100,7],\"attention_mask\":[1,1,1]}");
  options_.vocab_size = 8;
  const Prepared prepared = prepare(config_, nullptr, options_);
  EXPECT_EQ(prepared.train.input_ids, (std::vector<std::int32_t>{5, 6, 7, 5, 6, 7}));
  EXPECT_EQ(prepared.train.labels, (std::vector<std::int32_t>{-100, 6, 7, -100, -100, 7}));
  EXPECT_EQ(prepared.train.offsets, (std::vector<std::uint64_t>{0, 3, 6}));
}

TEST_F(DatasetTest, RowsTooLong) {
  config_.sequence_len = 5;
  const auto& dataset = add("completion", "c.jsonl", "{\"text\":\"abc\"}\n\n{\"text\":\"abcd\"}\n{\"text\":\"ab\"}\n");
  EXPECT_EQ(rows(), (Strings{"<s>[abc</s>]", "<s>[ab</s>]"}));
  EXPECT_EQ(run().train_report.dropped_too_long, 1u);
  config_.excess_length_strategy = "truncate";
  EXPECT_EQ(rows(), (Strings{"<s>[abc</s>]", "<s>[abcd]", "<s>[ab</s>]"}));
  EXPECT_EQ(run().train_report.truncated, 1u);
  config_.excess_length_strategy = "raise";
  EXPECT_THAT(error(), StartsWith(dataset.path + ":3: the row has 6 tokens, sequence_len is 5"));
  config_.sequence_len = 100;
  options_.max_position_embeddings = 5;
  EXPECT_THAT(error(), HasSubstr("max_position_embeddings is 5"));
}

TEST_F(DatasetTest, UntrainedRowsAreDroppedAndCounted) {
  config_.sequence_len = 4;
  config_.excess_length_strategy = "truncate";
  add("input_output", "io.jsonl",
      "{\"segments\":[{\"label\":false,\"text\":\"abcd\"},{\"label\":true,\"text\":\"e\"}]}\n"
      "{\"segments\":[{\"label\":true,\"text\":\"x\"}]}\n{\"segments\":[]}\n"
      "{\"segments\":[{\"label\":true,\"text\":\"xy\"}]}\n");
  const PrepareReport report = run().train_report;
  EXPECT_EQ(report.rows_read, 4u);
  EXPECT_EQ(report.dropped_untrained, 3u);
  EXPECT_EQ(report.truncated, 0u);
  EXPECT_EQ(report.rows_kept, 1u);
  EXPECT_EQ(report.tokens, 2u);
  EXPECT_EQ(report.trained_tokens, 1u);
}

TEST_F(DatasetTest, NothingLeftIsAnError) {
  add("completion", "c.jsonl", "{\"text\":\"abcdef\"}");
  config_.sequence_len = 3;
  EXPECT_THAT(error(), StartsWith("datasets: no row is left of 1 read: 1 longer than 3 tokens (sequence_len)"));
  write("c.jsonl", "");
  EXPECT_THAT(error(), StartsWith("datasets: no row is left of 0 read"));
}

TEST_F(DatasetTest, SkipAndLimit) {
  auto& dataset =
      add("completion", "c.jsonl", "{\"text\":\"aa\"}\n{\"text\":\"bb\"}\n{\"text\":\"cc\"}\n{\"text\":\"dd\"}");
  dataset.skip = 1;
  dataset.limit = 2;
  EXPECT_EQ(rows(), (Strings{"<s>[bb</s>]", "<s>[cc</s>]"}));
  dataset.skip = 9;
  EXPECT_THAT(error(), HasSubstr("no row is left"));
}

TEST_F(DatasetTest, ThreadsChangeNothing) {
  std::string text;
  for (int i = 0; i < 9000; ++i)
    text += "{\"text\":\"" + std::string(static_cast<std::size_t>(i % 37 + 1), 'x') + std::to_string(i) + "\"}\n";
  add("completion", "c.jsonl", text);
  const Prepared one = run();
  EXPECT_EQ(one.train.rows(), 9000u);
  for (const int threads : {2, 3, 7}) {
    options_.threads = threads;
    EXPECT_EQ(run().train.sha256, one.train.sha256) << threads;
  }
  // Of several bad rows the first is named, whichever thread meets it.
  const std::string path = write("c.jsonl", text + "{\"text\":1}\n{\"text\":2}\nnot json\n");
  for (int i = 0; i < 5; ++i) EXPECT_THAT(error(), StartsWith(path + ":9001: "));
}

TEST_F(DatasetTest, SplitIsPureAndLeavesTheRest) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "{\"text\":\"row" + std::to_string(i) + "\"}\n";
  add("completion", "c.jsonl", text);
  config_.val_set_size = 0.1;
  config_.seed = 3;
  const Prepared first = run();
  EXPECT_EQ(first.train.rows(), 36u);
  EXPECT_EQ(first.validation.rows(), 4u);
  EXPECT_EQ(first.train_report.rows_read, 36u);
  EXPECT_EQ(first.validation_report.rows_kept, 4u);
  EXPECT_EQ(first.train_report.tokens, first.train.input_ids.size());
  EXPECT_EQ(first.validation_report.tokens, first.validation.input_ids.size());
  EXPECT_EQ(run().validation.sha256, first.validation.sha256);
  config_.seed = 4;
  EXPECT_NE(run().validation.sha256, first.validation.sha256);
  config_.val_set_size = 39;
  EXPECT_EQ(run().train.rows(), 1u);
  config_.val_set_size = 40;
  EXPECT_THAT(error(), HasSubstr("leaves none to train on"));
  config_.val_set_size = 1.5;
  EXPECT_THAT(error(), HasSubstr("whole number of rows"));
  config_.val_set_size = 0.999;
  EXPECT_THAT(error(), HasSubstr("leaves none to train on"));
}

TEST_F(DatasetTest, TestDatasetsAreTheValidation) {
  add("completion", "c.jsonl", "{\"text\":\"train\"}");
  config_.test_datasets = config_.datasets;
  config_.test_datasets[0].path = write("v.jsonl", "{\"text\":\"held out\"}\n");
  const Prepared prepared = run();
  EXPECT_EQ(show(*tokenizer_, prepared.validation, 0), "<s>[held out</s>]");
  EXPECT_EQ(prepared.source_sha256.size(), 2u);
  EXPECT_NE(prepared.source_sha256[0], prepared.source_sha256[1]);
  config_.val_set_size = 0.5;
  EXPECT_THAT(error(), HasSubstr("both set"));
}

struct BadRow {
  const char* name;
  const char* type;
  const char* row;  // the second line of the file
  const char* message;
};

const BadRow kBadRows[] = {
    {"missing_instruction", "alpaca", R"({"output":"a"})", "expected the field \"instruction\", found only \"output\""},
    {"missing_output", "alpaca", R"({"instruction":"q","answer":"a"})", "expected the field \"output\""},
    {"no_fields", "alpaca", "{}", "no field at all"},
    {"number_as_answer", "alpaca", R"({"instruction":"q","output":5})", "\"output\" to be a string, found int64"},
    {"null_as_answer", "alpaca", R"({"instruction":"q","output":null})", "found null"},
    {"list_as_input", "alpaca", R"({"instruction":"q","input":[],"output":"a"})", "\"input\" to be a string or null"},
    {"no_text", "completion", R"({"Text":"a"})", "expected the field \"text\", found only \"Text\""},
    {"segments_object", "input_output", R"({"segments":{"a":1}})", "\"segments\" to be an array"},
    {"segments_not_json", "input_output", R"({"segments":"[1"})", "ends in the middle"},
    {"segments_text_of_object", "input_output", R"({"segments":"{}"})", "to be an array (or the JSON text of one)"},
    {"segment_label", "input_output", R"({"segments":[{"label":"yes","text":"a"}]})", "expected segments like"},
    {"segment_text", "input_output", R"({"segments":[{"label":true}]})", "expected segments like"},
    {"segment_string", "input_output", R"({"segments":["a"]})", "expected segments like"},
    {"no_ids", "tokenized", R"({"labels":[1]})", "expected the field \"input_ids\""},
    {"id_too_large", "tokenized", R"({"input_ids":[1,300]})", "input_ids[1]: expected an id from 0 to 299"},
    {"id_negative", "tokenized", R"({"input_ids":[-1]})", "input_ids[0]: expected an id from 0 to 299"},
    {"id_huge", "tokenized", R"({"input_ids":[18446744073709551615]})", "input_ids[0]: expected an integer"},
    {"id_wraps", "tokenized", R"({"input_ids":[4294967297]})", "found 4294967297"},
    {"id_double", "tokenized", R"({"input_ids":[1.5]})", "expected an integer, found another number"},
    {"id_string", "tokenized", R"({"input_ids":["1"]})", "expected an integer, found string"},
    {"labels_short", "tokenized", R"({"input_ids":[1,2],"labels":[1]})", "as many labels as input_ids, found 1 and 2"},
    {"labels_shifted", "tokenized", R"({"input_ids":[1,2],"labels":[2,-100]})",
     "labels[0]: expected 1 as in input_ids"},
    {"mask_zero", "tokenized", R"({"input_ids":[1,2],"attention_mask":[1,0]})", "without padding"},
    {"mask_short", "tokenized", R"({"input_ids":[1,2],"attention_mask":[1]})", "attention_mask"},
};

class BadRowTest : public DatasetTest, public testing::WithParamInterface<BadRow> {};

TEST_P(BadRowTest, NamesFileAndRow) {
  const BadRow& bad = GetParam();
  const std::string good = bad.type == std::string("alpaca")         ? R"({"instruction":"q","output":"a"})"
                           : bad.type == std::string("completion")   ? R"({"text":"abc"})"
                           : bad.type == std::string("input_output") ? R"({"segments":[{"label":true,"text":"abc"}]})"
                                                                     : R"({"input_ids":[1,2]})";
  const auto& dataset = add(bad.type, "rows.jsonl", good + "\n" + bad.row + "\n");
  options_.vocab_size = 300;
  EXPECT_THAT(error(), StartsWith(dataset.path + ":2: "));
  EXPECT_THAT(error(), HasSubstr(bad.message));
}

INSTANTIATE_TEST_SUITE_P(Table, BadRowTest, testing::ValuesIn(kBadRows),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(DatasetTest, CsvErrorsNameTheLineOfTheRow) {
  const auto& dataset = add("completion", "c.csv", "text,x\n\"a\nb\",1\nc\n");
  EXPECT_THAT(error(), StartsWith(dataset.path + ":4: expected 2 fields"));
}

TEST_F(DatasetTest, ConfigurationErrors) {
  EXPECT_THAT(error(), HasSubstr("expected at least one"));
  auto& dataset = add("alpaca", "a.jsonl", "{\"instruction\":\"q\",\"input\":\"x\",\"output\":\"a\"}");
  const auto original = dataset;
  const auto with = [&](const std::function<void(config::DatasetConfig&)>& change) {
    dataset = original;
    change(dataset);
    return error();
  };
  EXPECT_THAT(with([](auto& d) { d.type = "sharegpt"; }), HasSubstr("found \"sharegpt\""));
  EXPECT_THAT(with([](auto& d) { d.path = "/nowhere/x.jsonl"; }), StartsWith("/nowhere/x.jsonl: no such file"));
  EXPECT_THAT(with([&](auto& d) { d.path = folder_; }), HasSubstr("found a folder"));
  EXPECT_THAT(with([](auto& d) { d.format = "xml"; }), HasSubstr("expected `format`"));
  EXPECT_THAT(with([](auto& d) { d.prompt_format = "{instruction} {foo}"; }),
              HasSubstr("prompt_format: expected {instruction}"));
  EXPECT_THAT(with([](auto& d) { d.prompt_format = "{instruction"; }), HasSubstr("found \"{instruction\""));
  EXPECT_THAT(with([](auto& d) { d.prompt_format = "a } b"; }), HasSubstr("closing brace"));
  EXPECT_THAT(with([](auto& d) { d.output_format = "no place"; }), HasSubstr("expected {output}"));
  EXPECT_THAT(with([](auto& d) { d.prompt_no_input_format = "{instruction}"; }), HasSubstr("set prompt_format too"));
  EXPECT_THAT(with([](auto& d) { d.type = "chat_template"; }), HasSubstr("has no chat template"));
  dataset = original;
  config_.excess_length_strategy = "split";
  EXPECT_THAT(error(), HasSubstr("drop, truncate or raise"));
  config_.excess_length_strategy = "drop";
  config_.sequence_len = 1;
  EXPECT_THAT(error(), HasSubstr("at least 2"));
  config_.sequence_len = 512;
  options_.vocab_size = 100;
  EXPECT_THAT(error(), HasSubstr("do not belong together"));
  options_.vocab_size = 0;
  use({.has_eos = false});
  EXPECT_THAT(error(), HasSubstr("names no eos_token"));
  try {
    prepare(config_, nullptr, options_);
    FAIL() << "accepted";
  } catch (const runtime::UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("needs a tokenizer"));
  }
}

// What a cache must be: the same rows, used again only for the same inputs, never trusted when damaged.
class PreparedCache : public DatasetTest {
 protected:
  PreparedCache() {
    config_.dataset_prepared_path = folder_ / "prepared";
    config_.val_set_size = 1;
    add("completion", "c.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"text\":\"three\"}\n");
  }
  std::filesystem::path entry() const {
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "prepared"))
      if (entry.is_regular_file()) found = entry.path();
    return found;
  }
};

TEST_F(PreparedCache, GivesTheSame) {
  const Prepared made = run();
  EXPECT_FALSE(made.train_report.from_cache);
  const Prepared found = run();
  EXPECT_TRUE(found.train_report.from_cache);
  EXPECT_EQ(found.train.input_ids, made.train.input_ids);
  EXPECT_EQ(found.train.labels, made.train.labels);
  EXPECT_EQ(found.train.offsets, made.train.offsets);
  EXPECT_EQ(found.train.sha256, made.train.sha256);
  EXPECT_EQ(found.validation.sha256, made.validation.sha256);
  EXPECT_EQ(found.train_report.trained_tokens, made.train_report.trained_tokens);
  EXPECT_EQ(found.validation_report.rows_kept, 1u);
  EXPECT_EQ(found.source_sha256, made.source_sha256);
  EXPECT_TRUE(found.warnings.empty());
}

TEST_F(PreparedCache, EveryInputIsInTheKey) {
  run();
  const config::Config original = config_;
  const PrepareOptions options = options_;
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"content", [&] { write("c.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"text\":\"tree\"}\n"); }},
      {"limit", [&] { config_.datasets[0].limit = 2; }},
      {"skip", [&] { config_.datasets[0].skip = 1; }},
      {"sequence_len", [&] { config_.sequence_len = 100; }},
      {"strategy", [&] { config_.excess_length_strategy = "raise"; }},
      {"inputs", [&] { config_.train_on_inputs = true; }},
      {"eos", [&] { config_.train_on_eos = "none"; }},
      {"seed", [&] { config_.seed = 43; }},
      {"split", [&] { config_.val_set_size = 2; }},
      {"vocabulary", [&] { options_.vocab_size = 400; }},
      {"tokenizer", [&] { use({.adds_bos = false}); }},
  };
  for (const auto& [name, change] : changes) {
    config_ = original;
    options_ = options;
    change();
    EXPECT_FALSE(run().train_report.from_cache) << name;
    EXPECT_TRUE(run().train_report.from_cache) << name;
  }
  // What decides nothing is not in it.
  config_.learning_rate = 1;
  options_.threads = 2;
  EXPECT_TRUE(run().train_report.from_cache);
}

TEST_F(PreparedCache, DamageIsNoticed) {
  const Prepared made = run();
  const auto path = entry();
  std::ifstream file(path, std::ios::binary);
  const std::string good(std::istreambuf_iterator<char>(file), {});
  for (std::size_t byte = 0; byte < good.size(); byte += 23) {
    std::string bad = good;
    bad[byte] = static_cast<char>(bad[byte] ^ 1);
    std::ofstream(path, std::ios::binary) << bad;
    const Prepared again = run();
    EXPECT_EQ(again.train.sha256, made.train.sha256) << byte;
    // White space that pads the header may change unseen: then the entry is still right.
    if (again.train_report.from_cache) continue;
    ASSERT_EQ(again.warnings.size(), 1u) << byte;
    EXPECT_THAT(again.warnings[0], HasSubstr("damaged"));
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, good.size() / 2, good.size() - 1}) {
    std::ofstream(path, std::ios::binary) << good.substr(0, size);
    EXPECT_FALSE(run().train_report.from_cache) << size;
    EXPECT_TRUE(run().train_report.from_cache) << size;
  }
}

TEST_F(PreparedCache, AFolderThatCannotBeWrittenIsOnlyAWarning) {
  write("file", "");
  config_.dataset_prepared_path = folder_ / "file" / "prepared";
  const Prepared prepared = run();
  EXPECT_EQ(prepared.train.rows(), 2u);
  ASSERT_EQ(prepared.warnings.size(), 1u);
  EXPECT_THAT(prepared.warnings[0], HasSubstr("was not kept"));
}

}  // namespace
}  // namespace cadre::data
