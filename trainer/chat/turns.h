// From marked output to spans and turns. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer/chat/chat_template.h"
#include "trainer/chat/text.h"

namespace cadre::chat {

struct TurnOptions {
  std::vector<std::string> roles;  // of each message
  std::string eos_token;
  std::optional<std::string> generation_prompt;  // what add_generation_prompt adds at the end; nullopt: not known
};

// `turns`: the message of each turn that the text's segments name, or -1.
std::vector<MessageSpan> tracked_spans(const Text& text);
std::vector<MessageSpan> generation_spans(const Text& text, const std::vector<std::int32_t>& turns);
std::vector<Turn> find_turns(const Text& text, const std::vector<std::int32_t>& turns, const TurnOptions& options);
// The same where the template has {% generation %} blocks: a turn is such a block, from its first byte to its last.
std::vector<Turn> generation_turns(const Text& text, const std::vector<MessageSpan>& spans,
                                   const std::string& eos_token);

}  // namespace cadre::chat
