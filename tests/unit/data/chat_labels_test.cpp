#include "trainer/data/chat_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "trainer/data/dataset.h"

namespace cadre::data {
namespace {

// A conversation as the renderer and a tokenizer would give it. Every token is followed by a bar; ⟨n…⟩ is what message
// n printed, «n…•…» its turn with the marker after the dot; tokens that are "</e>" end turns.
struct Conversation {
  chat::Rendered rendered;
  tokenizer::Encoding tokens;
  std::vector<std::string> pieces;
};

Conversation conversation(std::string_view marked) {
  Conversation out;
  std::string piece;
  std::uint32_t begin = 0;
  auto& text = out.rendered.text;
  const auto at = [&](std::size_t& i, std::string_view sign) {
    if (!marked.substr(i).starts_with(sign)) return false;
    i += sign.size() - 1;
    return true;
  };
  for (std::size_t i = 0; i < marked.size(); ++i) {
    if (at(i, "⟨")) {
      out.rendered.spans.push_back({text.size(), 0, static_cast<std::size_t>(marked[++i] - '0')});
    } else if (at(i, "⟩")) {
      out.rendered.spans.back().end = text.size();
    } else if (at(i, "«")) {
      out.rendered.turns.push_back({.message = static_cast<std::size_t>(marked[++i] - '0'), .begin = text.size()});
    } else if (at(i, "•")) {
      out.rendered.turns.back().content_end = out.rendered.turns.back().marker = text.size();
    } else if (at(i, "»")) {
      out.rendered.turns.back().end = text.size();
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

const char* const kTwoTurns = "<u>|«0⟨0hi⟩|•</e>|»<a>|«1⟨1yo| man⟩|•</e>|»<u>|«2⟨2more⟩|•</e>|»<a>|«3⟨3ok⟩|•</e>|»\n|";
// The same from a template whose turns the renderer could not find.
const char* const kTwoTurnsBySpans = "<u>|⟨0hi⟩|</e>|<a>|⟨1yo| man⟩|</e>|<u>|⟨2more⟩|</e>|<a>|⟨3ok⟩|</e>|\n|";

TEST(ChatLabels, AnswersAndTheirEnds) {
  const std::vector<ChatTurn> turns = {kUser, kAssistant, kUser, kAssistant};
  for (const char* text : {kTwoTurns, kTwoTurnsBySpans}) {
    const auto c = conversation(text);
    EXPECT_EQ(trained(c, turns), "yo| man|</e>|ok|</e>|");
    EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kNone}), "yo| man|ok|");
    EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kLast}), "yo| man|ok|</e>|");
    EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kAll}), "</e>|yo| man|</e>|</e>|ok|</e>|");
  }
}

TEST(ChatLabels, Weights) {
  for (const char* text : {kTwoTurns, kTwoTurnsBySpans}) {
    const auto c = conversation(text);
    EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kAssistant}), "ok|</e>|");
    EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kSilenced}), "");
    EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kAssistant}, {.train_on_eos = TrainOnEos::kAll}),
              "</e>|</e>|</e>|ok|</e>|");
  }
}

TEST(ChatLabels, TrainOnInputs) {
  for (const char* text : {kTwoTurns, kTwoTurnsBySpans}) {
    const auto c = conversation(text);
    // All but the first token, which nothing predicts.
    EXPECT_EQ(trained(c, {kUser, kAssistant, kUser, kAssistant}, {.train_on_inputs = true}),
              "hi|</e>|<a>|yo| man|</e>|<u>|more|</e>|<a>|ok|</e>|\n|");
    EXPECT_EQ(trained(c, {kUser, kSilenced, kUser, kAssistant}, {.train_on_inputs = true}),
              "hi|</e>|<a>|<u>|more|</e>|<a>|ok|</e>|\n|");
    EXPECT_EQ(trained(c, {kUser, kAssistant, kUser, kAssistant},
                      {.train_on_eos = TrainOnEos::kNone, .train_on_inputs = true}),
              "hi|<a>|yo| man|<u>|more|<a>|ok|\n|");
  }
}

TEST(ChatLabels, ATokenWithOneByteOfTheAnswerIsTrained) {
  EXPECT_EQ(trained(conversation("USER:| ⟨0hi⟩|\n|BOT:| «1⟨1yes|.⟩\n•|</e>|»"), {kUser, kAssistant}), " yes|.\n|</e>|");
  EXPECT_EQ(trained(conversation("USER:| ⟨0hi⟩|\n|BOT:| ⟨1yes|.⟩\n|</e>|"), {kUser, kAssistant}), " yes|.\n|</e>|");
  // A token that holds bytes of the answer and of its marker is the answer's.
  EXPECT_EQ(trained(conversation("USER:| ⟨0hi⟩|\n|BOT:| «1⟨1yes|.⟩•</|e>|»"), {kUser, kAssistant},
                    {.train_on_eos = TrainOnEos::kNone}),
            " yes|.</|");
}

TEST(ChatLabels, WhatTheModelMustWriteAroundItsStrings) {
  EXPECT_EQ(trained(conversation("<u>|«0⟨0hi⟩|•</e>|»<a>|«1<call>|{\"name\": \"|⟨1f⟩|\"}|</call>|•<|end>|»\n|"),
                    {kUser, kAssistant}),
            "<call>|{\"name\": \"|f|\"}|</call>|<|end>|");
}

TEST(ChatLabels, SeveralSpansOfOneMessageJoin) {
  EXPECT_EQ(trained(conversation("<u>|⟨0hi⟩|</e>|<a>|⟨1yo⟩|[|⟨1f⟩|]|</e>|"), {kUser, kAssistant}), "yo|[|f|</e>|");
  // Unless another message stands between them.
  EXPECT_EQ(trained(conversation("<a>|⟨1yo⟩|[|⟨0hi⟩|]|⟨1f⟩|</e>|"), {kUser, kAssistant}), "yo|f|</e>|?");
}

TEST(ChatLabels, GenerationBlocksAreTakenAtTheirWord) {
  const std::vector<ChatTurn> turns = {kUser, kAssistant, kUser, kAssistant};
  auto c = conversation("<u>|hi|</e>|<a>|<think>|⟨1yo|</e>|\n⟩|<u>|more|</e>|<a>|⟨3ok⟩|</e>|");
  c.rendered.from_generation_blocks = true;
  EXPECT_EQ(trained(c, turns), "yo|</e>|\n|ok|</e>|");
  EXPECT_EQ(trained(c, turns, {.train_on_eos = TrainOnEos::kNone}), "yo|\n|ok|");
  // The same with the turns that the renderer finds.
  c = conversation("<u>|hi|</e>|<a>|<think>|«1⟨1yo|•</e>|\n⟩|»<u>|more|</e>|<a>|«3⟨3ok⟩|•»</e>|");
  c.rendered.from_generation_blocks = true;
  EXPECT_EQ(trained(c, turns), "yo|</e>|\n|ok|</e>|");
}

TEST(ChatLabels, AnEndThatIsNotThereIsSaid) {
  EXPECT_EQ(trained(conversation("<u>|⟨0hi⟩|</e>|<a>|«1⟨1yo⟩|•»\n|"), {kUser, kAssistant}), "yo|?");
  EXPECT_EQ(trained(conversation("<u>|⟨0hi⟩|</e>|<a>|⟨1yo⟩|\n|"), {kUser, kAssistant}), "yo|?");
  // The next turn's end is not this one's.
  EXPECT_EQ(trained(conversation("<a>|⟨0yo⟩|<u>|⟨1hi⟩|</e>|"), {kAssistant, kUser}), "yo|?");
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
  EXPECT_EQ(trained(conversation("«0⟨0yo|man⟩|•</e>|»"), {kAssistant}), "man|</e>|");
}

}  // namespace
}  // namespace cadre::data
