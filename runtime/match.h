// One function for each alternative of a variant: std::visit(Match{[](A&) {…}, [](B&) {…}}, variant).
#pragma once

namespace cadre::runtime {

template <typename... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};

}  // namespace cadre::runtime
