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

// Output bytes [begin, end) that belong to message `message` (index into messages).
struct MessageSpan {
  std::size_t begin = 0, end = 0;
  std::size_t message = 0;
};

struct Rendered {
  std::string text;
  // For each message, the output that its content (all strings taken out of it, but its role) produced, in order of
  // output; from {% generation %} blocks where the template has them (`from_generation_blocks`), else from tracking.
  std::vector<MessageSpan> spans;
  bool from_generation_blocks = false;
};

struct RenderOptions {
  bool add_generation_prompt = false;
  std::string bos_token, eos_token, pad_token, unk_token;
  std::string date;  // YYYY-MM-DD, what strftime_now sees (midnight, English names)
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
  Rendered render(const boost::json::value& messages, const boost::json::value& tools,
                  const RenderOptions& options) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace cadre::chat
