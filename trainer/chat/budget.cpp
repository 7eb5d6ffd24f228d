#include "trainer/chat/budget.h"

#include <string>

namespace cadre::chat {
namespace {
thread_local Budget* current = nullptr;
}

Budget::Budget() : outer_(current) {
  current = this;
}
Budget::~Budget() {
  current = outer_;
}

void Budget::work(std::uint64_t units) {
  if (current == nullptr) return;
  current->work_ += units;
  if (current->work_ > kMaxWork) throw Failure("the template takes too many steps");
}

void Budget::allocate(std::uint64_t bytes) {
  if (bytes > kMaxText) throw Failure("the template makes a value of more than " + std::to_string(kMaxText) + " bytes");
  if (current == nullptr) return;
  current->allocated_ += bytes;
  if (current->allocated_ > kMaxAllocated) throw Failure("the template takes too much memory");
  work(bytes / 8);
}

}  // namespace cadre::chat
