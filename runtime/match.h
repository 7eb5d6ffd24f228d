// One function for each alternative of a variant: std::visit(Match{[](A&) {…}, [](B&) {…}}, variant).
#pragma once

namespace cadre::runtime {

template <typename... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};

// Said for Clang 16, which does not deduce it by itself.
template <typename... Cases>
Match(Cases...) -> Match<Cases...>;

}  // namespace cadre::runtime
