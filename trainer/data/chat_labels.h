// Which tokens of a rendered conversation are trained: a pure function of what the renderer and the tokenizer say.
//
// A trained turn is what the model must write itself: from the end of the generation prompt (where the template puts
// one before the turn), through all that the message's strings became and the template's text between them (the
// brackets of a tool call), to the token that ends the turn. A template with {% generation %} blocks says itself: those
// bytes and nothing else. A token is trained when at least one of its bytes lies in a trained turn: " Paris" after
// "Assistant:" is the answer's first token although its space is the template's.
//
// Tokens that end a turn (`is_turn_end`) follow `train_on_eos` alone, as in axolotl: `turn` those that end trained
// turns, `all` every one, `last` the conversation's last, `none` none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat/chat_template.h"
#include "trainer/tokenizer/tokenizer.h"

namespace cadre::data {

// One message, as far as labels go.
struct ChatTurn {
  bool trained = false;   // an answer, or what `weight` says
  bool excluded = false;  // weight 0: not trained under train_on_inputs either
  bool has_text = false;  // some string besides its role is not blank: it must be found in the output
};

enum class TrainOnEos { kTurn, kAll, kLast, kNone };

struct ChatLabelOptions {
  std::string_view generation_prompt = {};  // what add_generation_prompt appends; empty: unknown
  TrainOnEos train_on_eos = TrainOnEos::kTurn;
  bool train_on_inputs = false;  // every token but those of excluded messages
  std::function<bool(tokenizer::TokenId)> is_turn_end = {};
};

struct ChatLabels {
  std::vector<std::int32_t> labels;
  bool turn_end_missing = false;  // a trained turn is followed by no token that ends it
};

// `tokens` are of the whole rendered text, without added special tokens. UserError naming the message (from 1) whose
// text cannot be found in the output.
ChatLabels label_chat(const chat::Rendered& rendered, const std::vector<ChatTurn>& turns,
                      const tokenizer::Encoding& tokens, const ChatLabelOptions& options);

}  // namespace cadre::data
