// Chat templates: Jinja as transformers sets it up (trim_blocks, lstrip_blocks, loop controls, tojson without ASCII
// escapes, raise_exception, strftime_now, {% generation %}), rendered with the knowledge of which output bytes came
// from which message.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cadre::chat {

// MessageSpan::message where a {% generation %} block tells no message.
inline constexpr std::size_t kNoMessage = static_cast<std::size_t>(-1);

// Output bytes [begin, end) that belong to message `message` (index into messages).
struct MessageSpan {
  std::size_t begin = 0, end = 0;
  std::size_t message = 0;
};

// The stretch of output that one message takes: what a loop's iteration over it wrote, or a {% generation %} block.
// 0 ≤ begin ≤ content_end ≤ marker ≤ end.
//
//   <|im_start|>assistant\n│I'll look.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}│}\n</tool_call>│<|im_end|>│\n
//                          begin                                                        content_end     marker     end
//
//   begin        for an assistant's message the first byte that the model has to write: what the generation prompt
//                would have given is left out, literals after it (`<tool_call>`, `[TOOL_CALLS]`) are in. Where the
//                template has no generation prompt, literals before the content count unless they name the role.
//                For other messages the first byte of the content.
//   content_end  after the last byte that was taken from the message.
//   marker       the end-of-turn marker: eos_token, or the last <…> or […] of what follows the content; equal to `end`
//                where the template writes none.
//   end          after the marker; white space behind it (the next turn's new line) is left out.
//
// So [begin, marker) is what to train on, [marker, end) is for train_on_eos.
struct Turn {
  std::size_t message = 0;
  std::size_t begin = 0, content_end = 0, marker = 0, end = 0;
};

struct Rendered {
  std::string text;
  // For each message, the output that its content (all strings taken out of it, but its role) produced, in order of
  // output; from {% generation %} blocks where the template has them (`from_generation_blocks`), else from tracking.
  // A message without content, or one that the template leaves out, has no span.
  std::vector<MessageSpan> spans;
  // In order of output. A message may have none (it is left out, or merged into another's turn, or the template does
  // not walk the messages in a loop) or several (it is rendered twice).
  std::vector<Turn> turns;
  bool from_generation_blocks = false;
};

struct RenderOptions {
  bool add_generation_prompt = false;
  std::string bos_token{}, eos_token{}, pad_token{}, unk_token{};  // empty: not defined, as in transformers
  std::string date{};               // YYYY-MM-DD, what strftime_now sees (midnight, English names)
  boost::json::object variables{};  // more of the template's variables: enable_thinking, custom_tools, …
};

class ChatTemplate {
 public:
  // UserError with line and construct for a syntax error or a construct, filter, test or method not implemented.
  ChatTemplate(std::string_view source, const std::string& where);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // `messages`: an array of objects as transformers takes them; `tools`: an array or null. UserError: what the
  // template raises (raise_exception), an undefined operation, more than a bounded number of evaluation steps or bytes.
  // Any number of threads may render at once.
  Rendered render(const boost::json::value& messages, const boost::json::value& tools,
                  const RenderOptions& options) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace cadre::chat
