// The chat template renderer on any template, over a fixed conversation.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/error.h"
#include "trainer/chat/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const boost::json::value kMessages = boost::json::parse(
      R"([{"role":"system","content":"Be Σ."},{"role":"user","content":[{"type":"text","text":" Hi\n"}]},
          {"role":"assistant","content":"<think>x</think>é","tool_calls":[{"function":{"name":"f","arguments":{"a":[1,2.5,null]}}}]},
          {"role":"tool","content":"{}"},{"role":"assistant","content":""}])");
  static const boost::json::value kTools = boost::json::parse(R"([{"type":"function","function":{"name":"f"}}])");
  try {
    const cadre::chat::ChatTemplate chat_template({reinterpret_cast<const char*>(data), size}, "fuzz");
    const cadre::chat::Rendered rendered =
        chat_template.render(kMessages, kTools, {.bos_token = "<s>", .eos_token = "</s>", .date = "2024-07-06"});
    std::size_t at = 0;
    for (const auto& span : rendered.spans) {
      if (span.begin < at || span.end <= span.begin || span.end > rendered.text.size()) __builtin_trap();
      at = span.end;
    }
    for (const auto& turn : rendered.turns) {
      if (turn.begin > turn.content_end || turn.content_end > turn.marker || turn.marker > turn.end) __builtin_trap();
      if (turn.end > rendered.text.size()) __builtin_trap();
    }
  } catch (const cadre::runtime::UserError&) {
  }
  return 0;
}
