// Scalars as a TensorBoard event file: TFRecord framing (length and data, each with a masked CRC-32C) around
// tensorflow.Event messages (tensorflow/core/util/event.proto), written field by field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace cadre::run {

class TensorBoardWriter {
 public:
  // A new file in `folder`, named by the time and this process as TensorBoard expects. RunError when it cannot be made.
  TensorBoardWriter(const std::filesystem::path& folder, double now_seconds);
  ~TensorBoardWriter();
  TensorBoardWriter(const TensorBoardWriter&) = delete;
  TensorBoardWriter& operator=(const TensorBoardWriter&) = delete;

  // One point of the curve `tag`, for instance "train/loss". RunError when the disk refuses.
  void scalar(const std::string& tag, std::int64_t step, double value, double now_seconds);

 private:
  void record(const std::string& event);

  int file_ = -1;
};

}  // namespace cadre::run
