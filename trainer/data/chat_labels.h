// Which tokens of a rendered conversation are trained: a pure function of what the renderer and the tokenizer say.
//
// A trained message is trained from the first byte that the model has to write up to the marker that ends its turn:
// chat::Turn says where these are. Where the renderer found no turn for it (templates that do not walk the messages in
// a loop), its own strings are taken, and all between the first and the last unless another message stands there. A
// token is trained when at least one of its bytes lies in there: " Paris" after "Assistant:" is the answer's first
// token although its space is the template's.
//
// Tokens that end a turn follow `train_on_eos` alone, as in axolotl: `turn` those that end trained turns, `all` every
// one, `last` the conversation's last, `none` none. They are those of a trained turn's marker, and those that
// `is_turn_end` (EOS, eot_tokens) knows, wherever they stand.
#pragma once

#include <cstdint>
#include <functional>
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
  TrainOnEos train_on_eos = TrainOnEos::kTurn;
  bool train_on_inputs = false;  // every token but those of excluded messages
  std::function<bool(tokenizer::TokenId)> is_turn_end = {};
};

struct ChatLabels {
  std::vector<std::int32_t> labels;
  bool turn_end_missing = false;  // no token that ends it follows a trained turn
};

// `tokens` are of the whole rendered text, without added special tokens. UserError naming the message (from 1) whose
// text cannot be found in the output.
ChatLabels label_chat(const chat::Rendered& rendered, const std::vector<ChatTurn>& turns,
                      const tokenizer::Encoding& tokens, const ChatLabelOptions& options);

}  // namespace cadre::data
