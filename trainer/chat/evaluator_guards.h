// What the evaluator opens and has to close again, whatever is thrown.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "trainer/chat/evaluator.h"

namespace cadre::chat {

class Evaluator::ScopeFrame {
 public:
  ScopeFrame(Evaluator& evaluator, Scope* parent)
      : evaluator_(evaluator), outer_(evaluator.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = parent;
    evaluator_.scope_ = scope_.get();
  }
  ~ScopeFrame() {
    evaluator_.scope_ = outer_;
    if (scope_->captured) evaluator_.kept_scopes_.push_back(std::move(scope_));
  }
  ScopeFrame(const ScopeFrame&) = delete;
  ScopeFrame& operator=(const ScopeFrame&) = delete;

 private:
  Evaluator& evaluator_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

class Evaluator::DepthGuard {
 public:
  explicit DepthGuard(Evaluator& evaluator) : depth_(evaluator.depth_) {
    if (depth_ >= kMax) throw Failure("the template recurses more than " + std::to_string(kMax) + " deep");
    ++depth_;
  }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  static constexpr int kMax = 500;
  int& depth_;
};

}  // namespace cadre::chat
