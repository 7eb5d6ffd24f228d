#include "runtime/messages.h"

namespace cadre::runtime {

bool is_urgent(const CoordinatorMessage& message) {
  if (const auto* const commit = std::get_if<Commit>(&message)) return commit->next.kind == Order::Kind::kEnd;
  if (const auto* const proceed = std::get_if<Proceed>(&message)) return proceed->next.kind == Order::Kind::kEnd;
  return std::holds_alternative<Fence>(message) || std::holds_alternative<NewView>(message);
}

std::uint64_t term_of(const CoordinatorMessage& message) {
  if (const auto* const view = std::get_if<NewView>(&message)) return view->view.stamp.term;
  return std::visit(
      [](const auto& it) -> std::uint64_t {
        if constexpr (requires { it.stamp.term; }) return it.stamp.term;
        return 0;
      },
      message);
}

}  // namespace cadre::runtime
