/* Detections in pictures by a model file of detexport, on the CPU and without Python.

   A function that fails returns NULL, and detforge_error() says why. Functions may be called by several threads at
   once, also with the same detector. Results are those of detforge.deploy.load(), to the last bit. */
#ifndef DETFORGE_H
#define DETFORGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An opened model file. */
typedef struct detforge_detector detforge_detector;

/* A picture: `height` rows of `width` pixels of three bytes, red, green and blue. A row begins `stride` bytes after the
   one before it; 0 stands for 3 * width. */
typedef struct {
    const uint8_t* rgb;
    size_t width, height, stride;
} detforge_image;

/* The detections in one picture, best first. */
typedef struct {
    size_t count;
    const float* boxes;     /* count times x1 y1 x2 y2 in px of the picture */
    const float* scores;    /* count */
    const int64_t* labels;  /* count; detforge_label() has their names */
    size_t keypoint_count;  /* of each detection; 0 if the model finds none */
    const float* keypoints; /* count times keypoint_count times x and y in px, and a score */
    void* owner;            /* the library's own */
} detforge_detections;

/* Opens a model file. `runtime` is the file of ONNX Runtime's library (1.18 or newer), libonnxruntime.so; NULL stands
   for that in the environment variable DETFORGE_ONNXRUNTIME, or else for the one that the system finds. All detectors
   of a process use the same. `threads` run the network; 0 stands for as many as there are processors. */
detforge_detector* detforge_open(const char* path, const char* runtime, int threads);

/* Closes a detector, which may be NULL. Its detections stay. */
void detforge_close(detforge_detector* detector);

/* The name of a label; NULL if there is none of this number. It is valid while the detector is open. */
const char* detforge_label(const detforge_detector* detector, int64_t label);

/* The detections in `count` pictures, at least one: an array of as many, to be freed with detforge_free(). Pictures that
   the model resizes to the same size run together. */
detforge_detections* detforge_detect(const detforge_detector* detector, const detforge_image* images, size_t count);

/* Frees the detections of one call, which may be NULL. */
void detforge_free(detforge_detections* detections);

/* What was wrong with the last call of this thread that failed, in one line. */
const char* detforge_error(void);

#ifdef __cplusplus
}
#endif

#endif
