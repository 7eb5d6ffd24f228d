// What the exit status of `cadre` says.
#pragma once

namespace cadre::launch {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUserMustMend = 2;  // option, configuration, data, model folder
inline constexpr int kResumable = 75;    // ended early, can be resumed as it is (EX_TEMPFAIL of sysexits.h)

}  // namespace cadre::launch
