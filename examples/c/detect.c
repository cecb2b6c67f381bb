/* Prints the detections in pictures: detect MODEL PICTURE.ppm... */
#include <detforge.h>
#include <stdio.h>
#include <stdlib.h>

static int give_up(const char* what) {
    fprintf(stderr, "error: %s\n", what);
    return 1;
}

/* Reads a binary PPM (P6), as `ffmpeg -i photo.jpg photo.ppm` writes it. */
static uint8_t* read_ppm(const char* path, detforge_image* image) {
    FILE* file = fopen(path, "rb");
    uint8_t* rgb = NULL;
    if (file != NULL && fscanf(file, "P6 %zu %zu 255", &image->width, &image->height) == 2 && image->width < 1 << 15 &&
        image->height < 1 << 15 && fgetc(file) != EOF) {
        rgb = malloc(image->width * image->height * 3 + 1);
        if (rgb != NULL && fread(rgb, 3, image->width * image->height, file) != image->width * image->height) rgb = (free(rgb), NULL);
    }
    if (file != NULL) fclose(file);
    return rgb;
}

int main(int count, char** arguments) {
    if (count < 3) return give_up("detect MODEL PICTURE.ppm...");
    detforge_detector* detector = detforge_open(arguments[1], NULL, 0);
    if (detector == NULL) return give_up(detforge_error());
    for (int i = 2; i < count; ++i) {
        detforge_image image = {0};
        uint8_t* rgb = read_ppm(arguments[i], &image);
        if (rgb == NULL) return give_up("a picture is not a binary PPM");
        image.rgb = rgb;
        detforge_detections* found = detforge_detect(detector, &image, 1);
        if (found == NULL) return give_up(detforge_error());
        for (size_t k = 0; k < found->count; ++k) {
            const float* box = found->boxes + 4 * k;
            printf("%s %.9g %.9g %.9g %.9g %.9g\n", detforge_label(detector, found->labels[k]), found->scores[k], box[0], box[1], box[2], box[3]);
        }
        detforge_free(found);
        free(rgb);
    }
    detforge_close(detector);
    return 0;
}
