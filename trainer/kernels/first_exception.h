// Exceptions out of a parallel region, which none may leave: the first is kept and thrown again after it.
#pragma once

#include <exception>

namespace cadre::kernels {

class FirstException {
 public:
  // Runs `work` on any thread of the region.
  template <typename F>
  void guard(F work) noexcept {
    try {
      work();
    } catch (...) {
#pragma omp critical(cadre_first_exception)
      if (!first_) first_ = std::current_exception();
    }
  }

  // After the region, on one thread.
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::exception_ptr first_;
};

}  // namespace cadre::kernels
