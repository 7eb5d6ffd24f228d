#include "trainer/data/chat_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "trainer/data/dataset.h"

namespace cadre::data {
namespace {

// A conversation as the renderer and a tokenizer would give it. In `marked`, ⟨n … ⟩ is what message n printed and every
// token is followed by a bar; tokens that are "</e>" end turns.
struct Conversation {
  chat::Rendered rendered;
  tokenizer::Encoding tokens;
  std::vector<std::string> pieces;
};

Conversation conversation(std::string_view marked) {
  Conversation out;
  std::vector<std::size_t> open;
  std::string piece;
  std::uint32_t begin = 0;
  auto& text = out.rendered.text;
  for (std::size_t i = 0; i < marked.size(); ++i) {
    if (marked.substr(i).starts_with("⟨")) {
      i += 3;
      open.push_back(out.rendered.spans.size());
      out.rendered.spans.push_back({text.size(), 0, static_cast<std::size_t>(marked[i] - '0')});
    } else if (marked.substr(i).starts_with("⟩")) {
      i += 2;
      out.rendered.spans[open.back()].end = text.size();
      open.pop_back();
    } else if (marked[i] == '|') {
      out.tokens.ids.push_back(piece == "</e>" ? 1 : 100 + static_cast<int>(out.tokens.ids.size()));
      out.tokens.ranges.push_back({begin, static_cast<std::uint32_t>(text.size())});
      out.pieces.push_back(piece);
      begin = static_cast<std::uint32_t>(text.size());
      piece.clear();
    } else {
      text += marked[i];
      piece += marked[i];
    }
  }
  return out;
}

// The trained tokens, with bars.
std::string trained(const Conversation& c, const std::vector<ChatTurn>& turns, ChatLabelOptions options = {}) {
  options.is_turn_end = [](tokenizer::TokenId id) { return id == 1; };
  const ChatLabels labels = label_chat(c.rendered, turns, c.tokens, options);
  EXPECT_EQ(labels.labels.size(), c.tokens.ids.size());
  std::string out;
  for (std::size_t i = 0; i < labels.labels.size(); ++i) {
    if (labels.labels[i] == kIgnored) continue;
    EXPECT_EQ(labels.labels[i], c.tokens.ids[i]);
    out += c.pieces[i] + "|";
  }
  return labels.turn_end_missing ? out + "?" : out;
}

constexpr ChatTurn kUser{.has_text = true};
constexpr ChatTurn kAssistant{.trained = true, .has_text = true};
constexpr ChatTurn kSilenced{.excluded = true, .has_text = true};

const char* const kTwoTurns = "<u>|⟨0hi⟩|</e>|<a>|⟨1yo| man⟩|</e>|<u>|⟨2more⟩|</e>|<a>|⟨3ok⟩|</e>|\n|";

TEST(ChatLabels, AnswersAndTheirEnds) {
  const auto c = conversation(kTwoTurns);
  const std::vector<ChatTurn> turns = {kUser, kAssistant, kUser, kAssistant};
  EXPECT_EQ(trained(c, turns), "yo| man|</e>|ok|</e>|");
  EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kNone}), "yo| man|ok|");
  EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kLast}), "yo| man|ok|</e>|");
  EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kAll}), "</e>|yo| man|</e>|</e>|ok|</e>|");
}

TEST(ChatLabels, Weights) {
  const auto c = conversation(kTwoTurns);
  EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kAssistant}), "ok|</e>|");
  EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kSilenced}), "");
  EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kAssistant}, {.train_on_eos = TrainOnEos::kAll}),
            "</e>|</e>|</e>|ok|</e>|");
}

TEST(ChatLabels, TrainOnInputs) {
  const auto c = conversation(kTwoTurns);
  // All but the first token, which nothing predicts.
  EXPECT_EQ(trained(c, {kUser, kAssistant, kUser, kAssistant}, {.train_on_inputs = true}),
            "hi|</e>|<a>|yo| man|</e>|<u>|more|</e>|<a>|ok|</e>|\n|");
  EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kAssistant}, {.train_on_inputs = true}),
            "hi|</e>|<a>|<u>|more|</e>|<a>|ok|</e>|\n|");
  EXPECT_EQ(
      trained(c, {kUser, kAssistant, kUser, kAssistant}, {.train_on_eos = TrainOnEos::kNone, .train_on_inputs = true}),
      "hi|<a>|yo| man|<u>|more|<a>|ok|\n|");
}

TEST(ChatLabels, ATokenWithOneByteOfTheAnswerIsTrained) {
  EXPECT_EQ(trained(conversation("USER:| ⟨0hi⟩|\n|BOT:| ⟨1yes|.⟩\n|\n|</e>|"), {kUser, kAssistant}),
            " yes|.\n|\n|</e>|");
}

TEST(ChatLabels, WhatTheModelMustWriteAroundItsStrings) {
  const auto c =
      conversation("<u>|⟨0hi⟩|</e>|<a>|<think>|</think>|⟨1yo⟩|</e>|<a>|<call>|{\"name\": \"|⟨2f⟩|\"}|</call>|</e>|\n|");
  EXPECT_EQ(trained(c, {kUser, kAssistant, kAssistant}, {.generation_prompt = "<a>"}),
            "<think>|</think>|yo|</e>|<call>|{\"name\": \"|f|\"}|</call>|</e>|");
  // Without a known generation prompt the turn begins with its first string.
  EXPECT_EQ(trained(c, {kUser, kAssistant, kAssistant}), "yo|</e>|f|\"}|</call>|</e>|");
}

TEST(ChatLabels, SeveralSpansOfOneMessageJoin) {
  EXPECT_EQ(trained(conversation("<u>|⟨0hi⟩|</e>|<a>|⟨1yo⟩|[|⟨1f⟩|]|</e>|"), {kUser, kAssistant}), "yo|[|f|]|</e>|");
  // Unless another message stands between them.
  EXPECT_EQ(trained(conversation("<a>|⟨1yo⟩|[|⟨0hi⟩|]|⟨1f⟩|</e>|"), {kUser, kAssistant}), "yo|f|</e>|?");
}

TEST(ChatLabels, GenerationBlocksAreTakenAtTheirWord) {
  auto c = conversation("<u>|hi|</e>|<a>|<think>|⟨1yo|</e>|\n⟩|<u>|more|</e>|<a>|⟨3ok⟩|</e>|");
  c.rendered.from_generation_blocks = true;
  const std::vector<ChatTurn> turns = {kUser, kAssistant, kUser, kAssistant};
  EXPECT_EQ(trained(c, turns, {.generation_prompt = "<a>"}), "yo|</e>|\n|ok|</e>|");
  EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kNone}), "yo|\n|ok|");
}

TEST(ChatLabels, AnEndThatIsNotThereIsSaid) {
  EXPECT_EQ(trained(conversation("<u>|⟨0hi⟩|</e>|<a>|⟨1yo⟩|\n|"), {kUser, kAssistant}), "yo|?");
  // The next turn's end is not this one's.
  EXPECT_EQ(trained(conversation("<a>|⟨0yo⟩|<u>|⟨1hi⟩|</e>|"), {kAssistant, kUser}), "yo|?");
  EXPECT_EQ(trained(conversation("<a>|⟨0yo⟩|<a>|</e>|"), {kAssistant, {}}, {.generation_prompt = "<a>"}), "yo|?");
}

TEST(ChatLabels, TextThatCannotBeFoundIsAnError) {
  const auto c = conversation("<u>|⟨0hi⟩|</e>|<a>|yo|</e>|");
  try {
    trained(c, {kUser, kAssistant});
    FAIL() << "accepted";
  } catch (const runtime::UserError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("message 2 cannot be told"));
  }
  // An empty answer has nothing to find; an untrained one need not be found.
  EXPECT_EQ(trained(c, {kUser, {.trained = true}}), "");
  EXPECT_EQ(trained(c, {kUser, kUser}), "");
  EXPECT_EQ(trained(c, {kUser, kAssistant}, {.train_on_inputs = true}), "hi|</e>|<a>|yo|</e>|");
}

TEST(ChatLabels, FirstTokenIsNeverATarget) {
  EXPECT_EQ(trained(conversation("⟨0yo|man⟩|</e>|"), {kAssistant}), "man|</e>|");
}

}  // namespace
}  // namespace cadre::data
