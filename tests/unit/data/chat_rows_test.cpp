// Conversations from file to labels, with the renderer and a tokenizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/data/prepare_fixture.h"

namespace cadre::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Strings = std::vector<std::string>;

constexpr const char* kChatml =
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

class ChatRows : public PrepareFixture {
 protected:
  ChatRows() { use({.chat_template = kChatml}); }

  config::DatasetConfig& chat(const std::string& text) { return add("chat_template", "chat.jsonl", text); }
};

TEST_F(ChatRows, AnswersAreTrainedToTheEndOfTheirTurn) {
  chat(
      R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"},{"role":"assistant","content":"yo"},)"
      R"({"role":"user","content":"more"},{"role":"assistant","content":"ok"}]})");
  EXPECT_EQ(rows(),
            Strings{"<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
                    "[yo<|im_end|>]\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n[ok<|im_end|>]\n"});
  EXPECT_TRUE(run().warnings.empty());
  config_.train_on_eos = "none";
  EXPECT_THAT(rows()[0], HasSubstr("[yo]<|im_end|>"));
  config_.train_on_eos = "turn";
  config_.train_on_inputs = true;
  EXPECT_EQ(rows(), Strings{"<|im_start|>[system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
                            "yo<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\nok<|im_end|>\n]"});
}

TEST_F(ChatRows, EveryEndWhereItsTokenIsNamed) {
  chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  config_.train_on_eos = "all";
  config_.eot_tokens = {"<|im_end|>"};
  EXPECT_EQ(rows(), Strings{"<|im_start|>user\nhi[<|im_end|>]\n<|im_start|>assistant\n[yo<|im_end|>]\n"});
  config_.eot_tokens = {"<|nothing|>"};
  EXPECT_THAT(error(), HasSubstr("is no token of the vocabulary"));
}

TEST_F(ChatRows, WeightZeroIsContextOnly) {
  chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo","weight":0},)"
       R"({"role":"user","content":"more"},{"role":"assistant","content":"ok","weight":1}]})");
  EXPECT_EQ(rows(), Strings{"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n<|im_start|>user\n"
                            "more<|im_end|>\n<|im_start|>assistant\n[ok<|im_end|>]\n"});
}

TEST_F(ChatRows, NoAnswerToTrainIsDropped) {
  chat(R"({"messages":[{"role":"user","content":"hi"}]})"
       "\n"
       R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  EXPECT_EQ(run().train_report.dropped_untrained, 1u);
  EXPECT_EQ(run().train_report.rows_kept, 1u);
}

TEST_F(ChatRows, ShareGptNames) {
  auto& dataset = chat(R"({"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"yo"}]})");
  dataset.field_messages = "conversations";
  dataset.message_field_role = "from";
  dataset.message_field_content = "value";
  EXPECT_EQ(rows(), Strings{"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n[yo<|im_end|>]\n"});
}

TEST_F(ChatRows, NoSecondBos) {
  use({.chat_template = std::string("{{ bos_token }}") + kChatml});
  chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  EXPECT_EQ(rows(), Strings{"<s><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n[yo<|im_end|>]\n"});
}

TEST_F(ChatRows, ToolsAndTheirCalls) {
  use({.chat_template =
           "{% for t in tools %}{{ t.name }};{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
           "{% if m.content %}{{ m.content }}{% endif %}{% for c in m.tool_calls %}<call>{{ c.function.name }}"
           "({{ c.function.arguments.city }})</call>{% endfor %}<|im_end|>\n{% endfor %}"
           "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"});
  chat(R"({"tools":[{"name":"weather"}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,)"
       R"("tool_calls":[{"function":{"name":"weather","arguments":"{\"city\": \"Bern\"}"}}]},)"
       R"({"role":"tool","content":"rain"},{"role":"assistant","content":"wet"}]})");
  EXPECT_EQ(rows(), Strings{"weather;<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
                            "[<call>weather(Bern)</call><|im_end|>]\n<|im_start|>tool\nrain<|im_end|>\n"
                            "<|im_start|>assistant\n[wet<|im_end|>]\n"});
}

TEST_F(ChatRows, GenerationBlocks) {
  use({.chat_template = "{% for m in messages %}{% if m.role == 'assistant' %}A: {% generation %}{{ m.content }}</s>"
                        "{% endgeneration %}{% else %}Q: {{ m.content }}{% endif %} {% endfor %}"});
  chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  EXPECT_EQ(rows(), Strings{"Q: hi A: [yo</s>] "});
}

TEST_F(ChatRows, ATurnWithoutAnEndIsWarnedOf) {
  use({.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"});
  chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  const Prepared prepared = run();
  ASSERT_EQ(prepared.warnings.size(), 1u);
  EXPECT_THAT(prepared.warnings[0], HasSubstr("will not learn to stop"));
}

TEST_F(ChatRows, TheDateIsTheGivenOne) {
  use({.chat_template = std::string("{{ strftime_now('%d %B %Y') }}\n") + kChatml});
  chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  EXPECT_THAT(rows()[0], StartsWith("02 January 2026\n"));
  config_.dataset_prepared_path = folder_ / "prepared";
  run();
  EXPECT_TRUE(run().train_report.from_cache);
  options_.chat_template_date = "2026-01-03";
  EXPECT_FALSE(run().train_report.from_cache);
}

TEST_F(ChatRows, TemplatesFromFileAndText) {
  use({});
  auto& dataset = chat(R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]})");
  EXPECT_THAT(error(), HasSubstr("has no chat template"));
  config_.chat_template = write("t.jinja", kChatml);
  EXPECT_THAT(rows()[0], HasSubstr("[yo<|im_end|>]"));
  dataset.chat_template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}";
  EXPECT_EQ(rows(), Strings{"hi</s>[yo</s>]"});
  dataset.chat_template = "/nowhere.jinja";
  EXPECT_THAT(error(), HasSubstr("/nowhere.jinja"));
  dataset.chat_template = "{% for m in %}";
  EXPECT_THAT(error(), HasSubstr("chat_template"));
}

struct BadChat {
  const char* name;
  const char* row;
  const char* message;
};

const BadChat kBadChats[] = {
    {"no_messages", R"({"text":"a"})", "expected the field \"messages\", found only \"text\""},
    {"empty", R"({"messages":[]})", "expected messages, found none"},
    {"not_array", R"({"messages":"hello"})", "the field \"messages\" is not valid JSON"},
    {"message_string", R"({"messages":["a"]})", "message 1: expected an object"},
    {"no_role", R"({"messages":[{"content":"a"}]})", "message 1: expected a string \"role\""},
    {"role_number", R"({"messages":[{"role":1,"content":"a"}]})", "message 1: expected a string \"role\""},
    {"no_content", R"({"messages":[{"role":"user","content":"a"},{"role":"assistant"}]})",
     "message 2: expected \"content\""},
    {"weight", R"({"messages":[{"role":"assistant","content":"a","weight":0.5}]})",
     "message 1: expected a weight of 0 or 1"},
    {"weight_text", R"({"messages":[{"role":"assistant","content":"a","weight":"1"}]})", "weight of 0 or 1"},
    {"tools", R"({"messages":[{"role":"user","content":"a"}],"tools":{"a":1}})", "\"tools\" to be an array"},
    {"arguments",
     R"({"messages":[{"role":"assistant","content":"a","tool_calls":[{"function":{"arguments":"{\"a\""}}]}]})",
     "the arguments of a tool call"},
    {"template_raises", R"({"messages":[{"role":"user","content":"refuse"},{"role":"assistant","content":"a"}]})",
     "not that"},
    {"left_out", R"({"messages":[{"role":"user","content":"omit"},{"role":"assistant","content":"a"}]})",
     "message 2 cannot be told"},
};

class BadChatTest : public ChatRows, public testing::WithParamInterface<BadChat> {};

TEST_P(BadChatTest, NamesFileAndRow) {
  use({.chat_template =
           "{% for m in messages %}{% if m.content == 'refuse' %}{{ raise_exception('not that') }}{% endif %}"
           "{% if messages[0].content != 'omit' %}{{ m.role }}: {{ m.content }}</s>{% endif %}{% endfor %}"});
  const auto& dataset =
      chat(std::string(R"({"messages":[{"role":"assistant","content":"good"}]})") + "\n" + GetParam().row);
  EXPECT_THAT(error(), StartsWith(dataset.path + ":2: "));
  EXPECT_THAT(error(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Table, BadChatTest, testing::ValuesIn(kBadChats),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace cadre::data
