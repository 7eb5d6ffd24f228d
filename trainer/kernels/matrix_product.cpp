#include "trainer/kernels/matrix_product.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "trainer/kernels/first_exception.h"
#include "trainer/kernels/panel_product.h"

// Goto and van de Geijn 2008, with the loops' order for tall A: a few panels of B are packed into the second cache
// level and every row of A passes over them.
namespace cadre::kernels {
namespace {

constexpr std::int64_t kDepth = 384;           // of k at once: a panel of it fits the first cache level
constexpr std::int64_t kRowsAtOnce = 32 * 14;  // of A: they fit the second cache level beside the panels
// Rows of B are read in long runs across many panels; columns are long runs themselves.
constexpr std::int64_t kPanelsOfRows = 12, kPanelsOfColumns = 4;
constexpr std::int64_t kLine = 16;                   // floats of a cache line
constexpr std::int64_t kParallelProducts = 1 << 20;  // below, one thread is faster than waking the others
// Packing an element of B takes as long as multiplying it with about this many rows.
constexpr double kPackingRows = 8;

typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));

PanelProductFunction panel_product() {
#if defined(__x86_64__)
  static const bool has_512 = __builtin_cpu_supports("avx512f");
  if (has_512) return panel_product_512;
#endif
  return panel_product_256;
}

// Eight rows of eight become eight columns.
void transpose_8x8(const float* from, std::int64_t from_row, float* to, std::int64_t to_row) {
  Eight x[8], y[8];
  for (int i = 0; i < 8; ++i) x[i] = *reinterpret_cast<const Eight*>(from + i * from_row);
  for (int i = 0; i < 8; i += 2) {
    y[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    y[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      x[i + 2 * j] = __builtin_shufflevector(y[i + j], y[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      x[i + 2 * j + 1] = __builtin_shufflevector(y[i + j], y[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; ++i) {
    *reinterpret_cast<Eight*>(to + i * to_row) = __builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *reinterpret_cast<Eight*>(to + (i + 4) * to_row) =
        __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// [k, columns] of B, whose columns lie contiguously, as a panel [k, width].
void pack_transposed(const float* b, std::int64_t column_stride, std::int64_t k, std::int64_t columns,
                     std::int64_t width, float* panel) {
  const std::int64_t whole_columns = columns / 8 * 8, whole_k = k / 8 * 8;
  for (std::int64_t j = 0; j < whole_columns; j += 8) {
    for (std::int64_t p = 0; p < whole_k; p += 8) {
      transpose_8x8(b + j * column_stride + p, column_stride, panel + p * width + j, width);
    }
    for (std::int64_t p = whole_k; p < k; ++p) {
      for (std::int64_t i = j; i < j + 8; ++i) panel[p * width + i] = b[i * column_stride + p];
    }
  }
  for (std::int64_t j = whole_columns; j < columns; ++j) {
    for (std::int64_t p = 0; p < k; ++p) panel[p * width + j] = b[j * column_stride + p];
  }
}

void copy_row(const float* from, std::int64_t columns, float* to) {
  std::int64_t j = 0;
  for (; j + 8 <= columns; j += 8) *reinterpret_cast<Eight*>(to + j) = *reinterpret_cast<const Eight*>(from + j);
  for (; j < columns; ++j) to[j] = from[j];
}

struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

// Part `index` of `parts` nearly equal ones.
Range part_of(const Range& range, std::int64_t parts, std::int64_t index) {
  return {range.begin + range.size() * index / parts, range.begin + range.size() * (index + 1) / parts};
}

std::int64_t parts_of(std::int64_t size, std::int64_t most) {
  return (size + most - 1) / most;
}

struct Panel {
  std::int64_t column, columns;
  bool narrow() const { return columns <= kNarrowPanelColumns; }
  std::int64_t width() const { return narrow() ? kNarrowPanelColumns : kPanelColumns; }
};

// Rows `depth` of B as panels; what a panel has beyond the matrix is zero.
void pack(const ProductOperand& b, const Range& depth, const Panel* panels, std::int64_t count, float* packed) {
  const std::int64_t k = depth.size();
  const float* first = b.data + depth.begin * b.row_stride;
  for (std::int64_t i = 0; i < count; ++i) {
    const Panel& panel = panels[i];
    float* target = packed + i * k * kPanelColumns;
    if (panel.columns < panel.width()) std::fill(target, target + k * panel.width(), 0.0f);
    if (b.column_stride != 1) {
      pack_transposed(first + panel.column * b.column_stride, b.column_stride, k, panel.columns, panel.width(), target);
    }
  }
  if (b.column_stride != 1) return;
  for (std::int64_t p = 0; p < k; ++p) {  // row by row: memory is read as it lies
    for (std::int64_t i = 0; i < count; ++i) {
      copy_row(first + p * b.row_stride + panels[i].column, panels[i].columns,
               packed + i * k * kPanelColumns + p * panels[i].width());
    }
  }
}

// A few rows of one panel's columns of C; the columns that the panel has beyond C are dropped.
void multiply(PanelProductFunction run, const PanelProduct& product, const Panel& panel) {
  if (panel.columns == panel.width()) return run(product, panel.narrow());
  float edge[kPanelRows * kPanelColumns];
  PanelProduct whole = product;
  whole.c = edge;
  whole.c_row = panel.width();
  whole.add = false;
  run(whole, panel.narrow());
  for (std::int64_t i = 0; i < product.rows; ++i) {
    for (std::int64_t j = 0; j < panel.columns; ++j) {
      const float value = edge[i * panel.width() + j];
      float& element = product.c[i * product.c_row + j];
      element = product.add ? element + value : value;
    }
  }
}

struct Product {
  const ProductShape& shape;
  const ProductOperand &a, &b;
  const ProductResult& c;
  PanelProductFunction run = panel_product();

  std::int64_t panels() const { return parts_of(shape.n, kPanelColumns); }
  Panel panel(std::int64_t index) const {
    const std::int64_t column = index * kPanelColumns;
    return {column, std::min(kPanelColumns, shape.n - column)};
  }

  // These rows and panels of C, by one thread.
  void compute(const Range& rows, const Range& panels) const {
    thread_local std::vector<float> packed(kDepth * kPanelColumns * kPanelsOfRows);
    const std::int64_t depths = parts_of(shape.k, kDepth), row_groups = parts_of(rows.size(), kRowsAtOnce);
    const std::int64_t groups = parts_of(panels.size(), b.column_stride == 1 ? kPanelsOfRows : kPanelsOfColumns);
    const auto group_at = [&](std::int64_t index) {
      return Group{.depth = part_of({0, shape.k}, depths, index / groups / row_groups),
                   .rows = part_of(rows, row_groups, index / groups % row_groups),
                   .panels = part_of(panels, groups, index % groups)};
    };
    const std::int64_t count = depths * row_groups * groups;
    for (std::int64_t index = 0; index < count; ++index) {
      multiply_group(group_at(index), index + 1 < count ? lines_of(group_at(index + 1)) : Lines{}, packed.data());
    }
  }

 private:
  // What is packed at once, and the rows of A that pass over it.
  struct Group {
    Range depth, rows, panels;
  };

  // The part of B that a group packs, as cache lines: `across` of them at each of `count` places.
  struct Lines {
    const float* first = nullptr;
    std::int64_t across = 0, count = 0, stride = 0;
  };
  Lines lines_of(const Group& group) const {
    const std::int64_t column = group.panels.begin * kPanelColumns;
    const std::int64_t columns = std::min(shape.n, group.panels.end * kPanelColumns) - column;
    const float* first = b.data + group.depth.begin * b.row_stride + column * b.column_stride;
    if (b.column_stride == 1) return {first, parts_of(columns, kLine), group.depth.size(), b.row_stride};
    return {first, parts_of(group.depth.size(), kLine), columns, b.column_stride};
  }

  void multiply_group(const Group& group, const Lines& next, float* packed) const {
    Panel panels[kPanelsOfRows];
    for (std::int64_t i = 0; i < group.panels.size(); ++i) panels[i] = panel(group.panels.begin + i);
    pack(b, group.depth, panels, group.panels.size(), packed);
    const std::int64_t blocks = parts_of(group.rows.size(), kPanelRows), k = group.depth.size();
    std::int64_t line = 0;
    for (std::int64_t i = 0; i < group.panels.size(); ++i) {
      for (std::int64_t block = 0; block < blocks; ++block, ++line) {
        const Range rows = part_of(group.rows, blocks, block);
        multiply(run,
                 {.rows = rows.size(),
                  .k = k,
                  .a = a.data + rows.begin * a.row_stride + group.depth.begin * a.column_stride,
                  .a_row = a.row_stride,
                  .a_column = a.column_stride,
                  .b = packed + i * k * kPanelColumns,
                  .c = c.data + rows.begin * c.row_stride + panels[i].column,
                  .c_row = c.row_stride,
                  .add = c.add || group.depth.begin > 0,
                  .ahead = next.first + line * kLine,
                  .ahead_stride = next.stride,
                  .ahead_count = line < next.across ? std::min(k, next.count) : 0},
                 panels[i]);
      }
    }
  }
};

// How many of `threads` share the rows of C; the rest of the grid shares the panels. The least time of the slowest.
std::int64_t row_parts(const Product& product, std::int64_t threads) {
  std::int64_t best = 1;
  double least = 0;
  for (std::int64_t parts = 1; parts <= threads; ++parts) {
    if (threads % parts != 0) continue;
    const auto rows = static_cast<double>(parts_of(product.shape.m, parts));
    const auto panels = static_cast<double>(parts_of(product.panels(), threads / parts));
    const double cost = (rows + kPackingRows) * panels;
    if (parts > 1 && cost >= least) continue;
    best = parts;
    least = cost;
  }
  return best;
}

}  // namespace

void matrix_product(const ProductShape& shape, const ProductOperand& a, const ProductOperand& b,
                    const ProductResult& c) {
  if (shape.k == 0 && !c.add) {
    for (std::int64_t i = 0; i < shape.m; ++i) std::fill_n(c.data + i * c.row_stride, shape.n, 0.0f);
  }
  if (shape.m == 0 || shape.n == 0 || shape.k == 0) return;
  const Product product{shape, a, b, c};
  const Range rows{0, shape.m}, panels{0, product.panels()};
  const std::int64_t threads = omp_in_parallel() ? 1 : omp_get_max_threads();
  if (threads == 1 || shape.m * shape.n * shape.k < kParallelProducts) return product.compute(rows, panels);
  const std::int64_t down = row_parts(product, threads), across = threads / down;
  FirstException failed;  // no memory for the panels
#pragma omp parallel for schedule(static, 1)
  for (std::int64_t part = 0; part < threads; ++part) {
    failed.guard([&] { product.compute(part_of(rows, down, part / across), part_of(panels, across, part % across)); });
  }
  failed.rethrow();
}

}  // namespace cadre::kernels
