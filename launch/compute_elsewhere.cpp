// The verbs that need tensors, in the program that has none.
#include "launch/own_mpirun.h"
#include "launch/verbs.h"
#include "runtime/compute_program.h"

namespace cadre::launch {

int generate(Arguments) {
  runtime::become_compute_program();
}
int merge(Arguments) {
  runtime::become_compute_program();
}
int rank(Arguments) {
  runtime::become_compute_program();
}
int train_as_rank(Arguments) {
  runtime::become_compute_program();
}

}  // namespace cadre::launch
